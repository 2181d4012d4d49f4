"""A code for the page: its lines in coloured spans, and what changed since the code before."""

from typing import NamedTuple

import msgspec

from monitor.insight.line_changes import Change

# SQL: a notebook's kernel or language, where the metadata of an execution names it.
KERNEL = """
    COALESCE(metadata->>'kernelLanguage', metadata->>'kernelName', metadata->>'kernel_name',
        metadata->>'language')
"""


class CodeSpan(msgspec.Struct, omit_defaults=True, frozen=True):
    """A part of a line.

    `kind` is `comment`, `keyword`, `builtin`, `name`, `string`, `number`, or left out. `changed`
    marks what is new, or gone, within a line of which the rest stayed.
    """

    text: str
    kind: str | None = None
    changed: bool = False


class CodeLine(msgspec.Struct, frozen=True):
    """A line that both codes have (`same`), or only the later (`added`) or the earlier one."""

    change: Change
    spans: list[CodeSpan]


class Code(NamedTuple):
    """A code, the one before it if there is one, and the notebook's kernel where it is known."""

    code: str
    before: str | None
    kernel: str | None
