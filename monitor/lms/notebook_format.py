"""Validates submitted notebooks against nbformat 4; never changes them."""

import hashlib
import warnings
from functools import cache
from types import ModuleType
from typing import Annotated, NamedTuple

import msgspec

from monitor.database.irregularity import Irregularity
from monitor.database.resource import Invalid
from monitor.events.escapes import repair

_FIELD = "notebook_content"


class _OutlineOutput(msgspec.Struct):
    output_type: str


class _OutlineCell(msgspec.Struct):
    cell_type: str
    id: str = ""
    outputs: list[_OutlineOutput] = []


class _Outline(msgspec.Struct):
    """The minimum that nbformat assumes of a notebook; nbformat checks the rest."""

    nbformat: Annotated[int, msgspec.Meta(ge=4, le=4)]
    nbformat_minor: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    cells: list[_OutlineCell]


class ValidNotebook(NamedTuple):
    """A notebook's text as the student sent it, its SHA-256 in hex, and what is odd about it."""

    text: str
    sha256: str
    irregularities: list[Irregularity]


def validate(content: bytes) -> ValidNotebook:
    """Call it in a thread: a large notebook takes long. Raises Invalid."""
    try:
        repaired = repair(content)
        _OUTLINE.decode(repaired)
        _nbformat().validate(msgspec.json.decode(repaired))
    except msgspec.MsgspecError as error:
        raise Invalid(_FIELD, f"Not a notebook: {error}") from None
    except RecursionError:
        raise Invalid(_FIELD, "Not a notebook: nested too deep") from None
    except _nbformat().ValidationError as error:
        raise Invalid(_FIELD, f"Not a notebook: {error.message}") from None
    return ValidNotebook(content.decode(), hashlib.sha256(content).hexdigest(), [])


@cache
def _nbformat() -> ModuleType:
    """Imported on first use: it takes 25 MB of memory, and most replicas validate nothing."""
    import nbformat
    from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

    for warning in (
        DuplicateCellId,
        MissingIDFieldWarning,
    ):  # Jupyter opens such notebooks without a warning
        warnings.simplefilter("ignore", warning)
    return nbformat


_OUTLINE = msgspec.json.Decoder(_Outline)
