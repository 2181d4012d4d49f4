"""Renders the Markdown cells of a notebook as sanitised HTML."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import msgspec

from monitor.events.escapes import repair

MAX_LENGTH = 100_000  # characters of Markdown that are rendered per notebook

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
    *("li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_MAX_DEPTH = 100  # of nested Markdown elements
_SCHEMES = {"http", "https", "mailto"}


class _TextCell(msgspec.Struct):
    """The text of a cell in nbformat 4."""

    cell_type: str
    source: str | list[str] = ""

    def text(self) -> str:
        return self.source if isinstance(self.source, str) else "".join(self.source)


class _TextCells(msgspec.Struct):
    """The texts of a notebook's cells."""

    cells: list[_TextCell]


def markdown_cells(content: bytes) -> list[str | None]:
    """The HTML of each cell; None if it isn't Markdown, too long or nested too deep.

    Links are limited to http, https and mailto. HTML is shown as text, images as their
    descriptions. Call it in a thread: a large notebook takes long.
    """
    remaining = MAX_LENGTH
    rendered: list[str | None] = []
    for cell in _NOTEBOOK.decode(repair(content)).cells:
        text = cell.text() if cell.cell_type == "markdown" else None
        remaining -= len(text or "")
        rendered.append(None if text is None or remaining < 0 else _html(text))
    return rendered


def _html(text: str) -> str | None:
    tools = _tools()
    escaped = _escape_tags(text.encode(), tools.events(text))
    if _is_too_deep(tools.events(escaped)):  # after escaping: a tag's content may be Markdown now
        return None
    html: str = tools.cleaner.clean(tools.render(escaped))
    return html


def _is_too_deep(events: Iterable[tuple[Any, Any]]) -> bool:
    """Whether it is nested so deep that sanitising it would take too long."""
    depth = 0
    for event, _ in events:
        kind = _kind(event)
        depth += (kind == "Start") - (kind == "End")
        if depth > _MAX_DEPTH:
            return True
    return False


def _kind(event: Any) -> Any:
    return next(iter(event)) if isinstance(event, dict) else event


def _escape_tags(text: bytes, events: Iterable[tuple[Any, Any]]) -> str:
    """The Markdown with `&lt;` for the `<` of HTML tags. `events` have byte ranges of `text`."""
    pieces: list[bytes] = []
    end = 0
    for event, span in events:
        if _kind(event) in ("Html", "InlineHtml"):
            before, tag = text[end : span["start"]], text[span["start"] : span["end"]]
            pieces += before, tag.replace(b"<", b"&lt;")
            end = span["end"]
    return b"".join([*pieces, text[end:]]).decode()


class _Tools(NamedTuple):
    render: Callable[[str], str]
    events: Callable[[str], Iterable[tuple[Any, Any]]]
    cleaner: Any


@cache
def _tools() -> _Tools:
    """Imported on first use: most replicas never render Markdown."""
    import nh3
    import pyromark

    options = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_STRIKETHROUGH
    cleaner = nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return _Tools(
        partial(pyromark.html, options=options),
        partial(pyromark.events_with_range, options=options),
        cleaner,
    )


_NOTEBOOK = msgspec.json.Decoder(_TextCells)
