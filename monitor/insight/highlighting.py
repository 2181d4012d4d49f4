"""Code in pieces that a page shows in colours; Pygments finds them."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType

MAX_CHARACTERS = 4_000  # of one code; a longer one is not highlighted
_CACHED = 200  # codes: those of students at a cell are often alike; one takes up to 200 KB

# A language by the names that kernels and cell magics have for it. Others are read as Python.
_LEXERS: Mapping[str, str] = {
    "python": "python", "python3": "python", "ipython": "python", "ipython3": "python",
    "r": "r", "ir": "r", "julia": "julia", "java": "java",
    "bash": "bash", "sh": "bash", "sql": "sql", "javascript": "javascript", "js": "javascript",
}  # fmt: skip
_MAGIC = re.compile(r"%%(\w+)")

_KINDS: tuple[tuple[_TokenType, str | None], ...] = (
    (Comment, "comment"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (Name.Builtin, "builtin"),
    (Name.Exception, "builtin"),
    (Name.Decorator, "builtin"),
    (Name.Function, "name"),
    (Name.Class, "name"),
    (String, "string"),
    (Number, "number"),
    (Literal, "string"),
)


class Piece(NamedTuple):
    """A part of a line. `kind` is its type of token; None is plain text."""

    text: str
    kind: str | None


Line = tuple[Piece, ...]  # without its end; an empty line has no pieces


def plain_lines(code: str) -> list[Line]:
    """The lines of a code, each of one piece."""
    return [(Piece(line, None),) if line else () for line in split_lines(code)]


def split_lines(code: str) -> list[str]:
    """The lines of a code; a last line end begins none."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def language_of(code: str, kernel: str | None) -> str:
    """The language of a cell: that of its magic (`%%bash`), of its kernel, else Python."""
    magic = _MAGIC.match(code)
    for name in (magic and magic[1], kernel and re.split(r"[-\d. ]", kernel)[0]):
        if name and name.lower() in _LEXERS:
            return _LEXERS[name.lower()]
    return "python"


@lru_cache(_CACHED)
def highlighted_lines(code: str, language: str) -> tuple[Line, ...]:
    """The lines of a code, the pieces of which have kinds; `language` is one of `language_of`.

    It takes some microseconds a character, in the worst case a hundred: let a worker do it.
    """
    lines: list[list[Piece]] = [[]]
    for token, text in _lexer(language).get_tokens("\n".join(split_lines(code))):
        kind = _kind(token)
        first, *others = text.split("\n")
        _append(lines[-1], first, kind)
        for part in others:
            lines.append([])
            _append(lines[-1], part, kind)
    return tuple(map(tuple, lines[: len(split_lines(code))]))


def _append(line: list[Piece], text: str, kind: str | None) -> None:
    if line and line[-1].kind == kind:
        text = line.pop().text + text
    if text:
        line.append(Piece(text, kind))


@lru_cache(64)
def _kind(token: _TokenType) -> str | None:
    return next((kind for base, kind in _KINDS if token in base), None)


@lru_cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


def text_of(line: Iterable[Piece]) -> str:
    """A line as text."""
    return "".join(piece.text for piece in line)
