"""The Markdown cells of a notebook as HTML that can do no harm."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import msgspec

from monitor.events.decoding import repair

MAX_LENGTH = 100_000  # characters of a notebook's Markdown that are rendered

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
    *("li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_MOST_DEPTH = 100
_SCHEMES = {"http", "https", "mailto"}


class Cell(msgspec.Struct):
    """A cell of a notebook in format 4, as far as its text goes."""

    cell_type: str
    source: str | list[str] = ""

    def text(self) -> str:
        return self.source if isinstance(self.source, str) else "".join(self.source)


class Notebook(msgspec.Struct):
    """The cells of a notebook."""

    cells: list[Cell]


def markdown_cells(content: bytes) -> list[str | None]:
    """The HTML of each cell; null for what isn't Markdown, too long or too deep. For a thread.

    Links lead to web pages and mail only. HTML stays text, of images their descriptions remain.
    """
    left = MAX_LENGTH
    found: list[str | None] = []
    for cell in _NOTEBOOK.decode(repair(content)).cells:
        text = cell.text() if cell.cell_type == "markdown" else None
        left -= len(text or "")
        found.append(None if text is None or left < 0 else _html(text))
    return found


def _html(text: str) -> str | None:
    tools = _tools()
    plain = _with_tags_as_text(text.encode(), tools.events(text))
    if _is_too_deep(tools.events(plain)):  # plain: what was in a tag may be Markdown now
        return None
    html: str = tools.cleaner.clean(tools.render(plain))
    return html


def _is_too_deep(events: Iterable[tuple[Any, Any]]) -> bool:
    """Whether it is nested so deep that cleaning it would take for ever."""
    depth = 0
    for event, _ in events:
        kind = _kind(event)
        depth += (kind == "Start") - (kind == "End")
        if depth > _MOST_DEPTH:
            return True
    return False


def _kind(event: Any) -> Any:
    return next(iter(event)) if isinstance(event, dict) else event


def _with_tags_as_text(text: bytes, events: Iterable[tuple[Any, Any]]) -> str:
    pieces: list[bytes] = []
    end = 0
    for event, place in events:
        if _kind(event) in ("Html", "InlineHtml"):
            before, tag = text[end : place["start"]], text[place["start"] : place["end"]]
            pieces += before, tag.replace(b"<", b"&lt;")
            end = place["end"]
    return b"".join([*pieces, text[end:]]).decode()


class _Tools(NamedTuple):
    render: Callable[[str], str]
    events: Callable[[str], Iterable[tuple[Any, Any]]]
    cleaner: Any


@cache
def _tools() -> _Tools:
    """Imported when they are first needed: most replicas never are asked."""
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


_NOTEBOOK = msgspec.json.Decoder(Notebook)
