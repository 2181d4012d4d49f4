"""Renders the Markdown cells of a notebook as sanitised HTML."""

import html
import re
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from monitor.lms import formulas
from monitor.lms.formulas import Formula, find_formulas, to_mathml
from monitor.lms.markdown_texts import markdown_texts

MAX_LENGTH = 100_000  # characters of Markdown that are rendered per notebook
MAX_FORMULAS = 1_000  # that are rendered per notebook

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
    *("img", "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr"),
    *("ul", *formulas.TAGS),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"alt", "data-attachment", "data-embedded"},
    "ol": {"start"},
    **formulas.ATTRIBUTES,
}
_MAX_DEPTH = 100  # of nested Markdown elements
_SCHEMES = {"http", "https", "mailto"}

# Pictures in the text, as Colab pastes them: each becomes `embedded:` and its number in the cell.
_EMBEDDED = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
_OWN_PICTURE = re.compile(
    rb"""<img[^<>]{0,300}?\ssrc\s?=\s?["']((?:attachment|embedded):[^"'<>\n]{1,200})["'][^<>]{0,300}>"""
)

# A formula's number, while Markdown is rendered, stands between characters that text never has.
_FIRST, _LAST = "\ufdd0", "\ufdd1"
_PLACE = re.compile(f"(?:{_FIRST}|{quote(_FIRST)})(\\d+)(?:{_LAST}|{quote(_LAST)})")
_PLACE_OR_TAG = re.compile(f"<[^>]*>|{_PLACE.pattern}")
_MAX_ADDRESS = 100  # characters that stand for a picture without a description
_IMAGE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"')


def cells_as_json(content: bytes) -> bytes:
    """A worker's job: `markdown_cells` as JSON."""
    return msgspec.json.encode(markdown_cells(content))


def markdown_cells(content: bytes) -> list[str | None]:
    """The HTML of each cell; None if it isn't Markdown, too long or nested too deep.

    Links are limited to http, https and mailto. HTML is shown as text, formulas as MathML. A
    picture of the cell's own has no address: its `data-attachment` names the attachment, or its
    `data-embedded` the data URL in the source, counted from 0; others are shown as their
    descriptions or addresses. It may take seconds: let a worker do it.
    """
    remaining, remaining_formulas = MAX_LENGTH, MAX_FORMULAS
    rendered: list[str | None] = []
    for each in markdown_texts(content):
        text = None if each is None else _without_embedded(each)
        remaining -= len(text or "")
        if text is None or remaining < 0:
            rendered.append(None)
            continue
        marked, found = _take_formulas(text, remaining_formulas)
        remaining_formulas -= len(found)
        rendered.append(_html(marked, found))
    return rendered


def _without_embedded(text: str) -> str:
    """The text with `embedded:<number>` for each data URL of a picture."""
    first, *others = _EMBEDDED.split(text.replace(_FIRST, "\ufffd").replace(_LAST, "\ufffd"))
    return first + "".join(f"embedded:{number}{each}" for number, each in enumerate(others))


class _Shown(NamedTuple):
    """A formula as written, and as MathML if it could be converted."""

    source: str
    mathml: str | None


def _take_formulas(text: str, limit: int) -> tuple[str, list[_Shown]]:
    """The text with a mark for each of its formulas, at most `limit` of them, and the formulas."""
    encoded = text.encode()
    if b"$" not in encoded and b"\\" not in encoded:
        return text, []
    pieces: list[bytes] = []
    shown: list[_Shown] = []
    end = 0
    for formula in find_formulas(encoded, _code(_tools().events(text))):
        if len(shown) == limit:
            break
        pieces += encoded[end : formula.start], f"{_FIRST}{len(shown)}{_LAST}".encode()
        shown.append(_show(encoded, formula))
        end = formula.end
    return b"".join([*pieces, encoded[end:]]).decode(), shown


def _show(text: bytes, formula: Formula) -> _Shown:
    return _Shown(text[formula.start : formula.end].decode(), to_mathml(formula))


def _code(events: Iterable[tuple[Any, Any]]) -> list[tuple[int, int]]:
    """The ranges of code, in which a formula can't begin."""
    return [
        (span["start"], span["end"])
        for event, span in events
        if _kind(event) == "Code" or (_kind(event) == "Start" and "CodeBlock" in event["Start"])
    ]


def _html(text: str, shown: list[_Shown]) -> str | None:
    tools = _tools()
    escaped = _escape_tags(text.encode(), tools.events(text))
    if _is_too_deep(tools.events(escaped)):  # after escaping: a tag's content may be Markdown now
        return None
    filled = _PLACE_OR_TAG.sub(partial(_fill, shown), tools.render(escaped))
    clean: str = tools.cleaner.clean(filled)
    return clean


def _fill(shown: list[_Shown], match: re.Match[str]) -> str:
    """MathML for a formula's mark in text, what was written for one in an attribute or code."""
    if match[1] is not None:
        source, mathml = shown[int(match[1])]
        return mathml or f"<code>{html.escape(source)}</code>"
    tag = _PLACE.sub(lambda place: html.escape(shown[int(place[1])].source), match[0])
    image = _IMAGE.match(tag)
    return _picture(image[1], image[2]) if image else tag


def _picture(address: str, description: str) -> str:
    """`address` and `description` as they stand in the HTML."""
    whole = unquote(html.unescape(address))
    kind, _, name = whole.partition(":")
    if kind not in ("attachment", "embedded"):
        return description or html.escape(whole[:_MAX_ADDRESS])
    return f'<img data-{kind}="{html.escape(name)}" alt="{description}">'


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
            pieces += before, _escape_tag(tag)
            end = span["end"]
    return b"".join([*pieces, text[end:]]).decode()


def _escape_tag(tag: bytes) -> bytes:
    """As text, but a picture of the cell's own, which Jupyter lets people resize, as Markdown."""
    first, *others = _OWN_PICTURE.split(tag)
    pieces = [first.replace(b"<", b"&lt;")]
    for address, between in zip(others[::2], others[1::2], strict=True):
        pieces += b"![](<%b>)" % address, between.replace(b"<", b"&lt;")
    return b"".join(pieces)


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
