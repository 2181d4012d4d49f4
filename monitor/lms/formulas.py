"""Formulas in Markdown: where they are, and what they look like as MathML."""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

_MAX_LENGTH = 2_000  # bytes of a formula; converting takes about 10 µs for each
_MAX_DEPTH = 60  # of nested elements

TAGS = {
    *("math", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom", "mroot"),
    *("mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext"),
    *("mtr", "munder", "munderover"),
}
ATTRIBUTES = {
    "math": {"display"},
    "mfrac": {"linethickness"},
    "mi": {"mathvariant"},
    "mo": {
        *("accent", "fence", "form", "largeop", "maxsize", "minsize", "movablelimits"),
        *("separator", "stretchy"),
    },
    "mover": {"accent"},
    "mspace": {"width"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"displaystyle"},
    "mtd": {"columnalign"},
}

# What begins or ends a formula, or can't be within one. What is escaped matches first.
_MARK = re.compile(
    rb"\\begin\{(?P<begin>[A-Za-z]+\*?)\}|\\end\{(?P<end>[A-Za-z]+\*?)\}"
    rb"|\\[\[\]()]|\\.|\$\$|\$|(?P<blank>\n[ \t>]*\n)",
    re.DOTALL,
)
_ENDS = {b"$": b"$", b"$$": b"$$", rb"\(": rb"\)", rb"\[": rb"\]"}
_ENVIRONMENTS = {
    *(b"align", b"aligned", b"alignat", b"array", b"cases", b"eqnarray", b"equation", b"gather"),
    *(b"matrix", b"bmatrix", b"pmatrix", b"vmatrix", b"Vmatrix", b"multline", b"split"),
}
_SPACE = b" \t\n"
_DEFINITION = re.compile(r"\\(?:def|let|newcommand|renewcommand|newenvironment|Declare)")


class Formula(NamedTuple):
    """Bytes `start` to `end` of a text, with their delimiters; `latex` is what is between them."""

    start: int
    end: int
    latex: str
    is_block: bool


class _Open(NamedTuple):
    """A formula that has begun: what ends it, and its first byte after the delimiter."""

    start: int
    content: int
    ends_with: bytes


def find_formulas(text: bytes, code: list[tuple[int, int]]) -> Iterator[Formula]:
    """The formulas of a Markdown text, in order; none within `code`, ranges of bytes in order.

    `$…$`, `$$…$$`, `\\(…\\)`, `\\[…\\]` and environments such as `align`. Sums of money are none:
    a `$` before a space begins no formula, one after a space or before a digit ends none.
    """
    current: _Open | None = None
    ranges = iter([*code, (len(text), len(text))])
    code_start, code_end = next(ranges)
    position = 0
    while mark := _MARK.search(text, position):
        while code_end <= mark.start() < len(text):
            code_start, code_end = next(ranges)
            current = None
        if code_start <= mark.start():
            current, position = None, code_end
            continue
        position = mark.end()
        if current and _is_end(text, mark, current):
            yield _formula(text, current, mark)
            current = None
        else:
            current = _next(text, mark, current)


def _is_end(text: bytes, mark: re.Match[bytes], current: _Open) -> bool:
    if mark[0] != current.ends_with:
        return False
    if mark[0] != b"$":
        return True
    before, after = text[mark.start() - 1], text[mark.end() : mark.end() + 1]
    has_command = b"\\" in text[current.content : mark.start()]  # 2$\times$3 has no sum of money
    return before not in _SPACE and (has_command or not after.isdigit())


def _next(text: bytes, mark: re.Match[bytes], current: _Open | None) -> _Open | None:
    """The formula that is open after the mark, which doesn't end one."""
    if mark["blank"]:
        return None
    if current and (current.ends_with != b"$" or mark[0].startswith((b"\\begin", b"\\end"))):
        return current
    ends_with = _ENDS.get(mark[0])
    content = mark.end()
    if mark["begin"] and mark["begin"].rstrip(b"*") in _ENVIRONMENTS:
        ends_with, content = rb"\end{%b}" % mark["begin"], mark.start()
    if ends_with is None:
        return current
    if ends_with == b"$" and not _can_begin(text, mark):
        return None
    return _Open(mark.start(), content, ends_with)


def _can_begin(text: bytes, mark: re.Match[bytes]) -> bool:
    before = text[max(0, mark.start() - 1) : mark.start()]
    after = text[mark.end() : mark.end() + 1]
    return after not in (b"", b" ", b"\t", b"\n") and not before.isalpha()


def _formula(text: bytes, current: _Open, mark: re.Match[bytes]) -> Formula:
    end = mark.end() if mark["end"] else mark.start()
    latex = text[current.content : end].decode()
    return Formula(current.start, mark.end(), latex, current.ends_with not in (b"$", rb"\)"))


def to_mathml(formula: Formula) -> str | None:
    """The formula as MathML, not sanitised; None if it can't be converted, or is too long.

    Formulas that define commands aren't converted: a few of them grow without end.
    """
    latex = formula.latex
    if formula.end - formula.start > _MAX_LENGTH or _DEFINITION.search(latex) or not latex.strip():
        return None
    from latex2mathml.converter import convert_to_element

    try:
        element = convert_to_element(latex, display="block" if formula.is_block else "inline")
    except Exception:  # noqa: BLE001 - the converter raises anything for what it can't read
        return None
    return _serialized(element, _MAX_DEPTH)


def _serialized(element: Element, depth: int) -> str | None:
    """As HTML. The converter leaves `&#x3D;` in texts, and its own writer unescapes too much."""
    if depth == 0:
        return None
    attributes = "".join(f' {name}="{html.escape(each)}"' for name, each in element.items())
    content = html.escape(html.unescape(element.text or ""))
    for child in element:
        text = _serialized(child, depth - 1)
        if text is None:
            return None
        content += text
    return f"<{element.tag}{attributes}>{content}</{element.tag}>"
