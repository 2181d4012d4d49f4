"""Compares codes, and highlights them: a worker's job, for it takes long."""

import time

import msgspec

from monitor.insight.code_lines import Code, CodeLine, CodeSpan
from monitor.insight.highlighting import (
    MAX_CHARACTERS,
    Line,
    Piece,
    highlighted_lines,
    language_of,
    plain_lines,
    text_of,
)
from monitor.insight.line_changes import LineChange, changed_span, line_changes

MAX_LINES = 400  # of one code; those after it are left out
_MAX_TIME = 0.3  # seconds that highlighting may take for one answer


def compared_as_json(content: bytes) -> bytes:
    """A worker's job: the CodeLines of each Code."""
    lines = CodeLines()
    return msgspec.json.encode([lines.of(*each) for each in _CODES.decode(content)])


class CodeLines:
    """Makes the lines of one answer."""

    def __init__(self) -> None:
        self._left = _MAX_TIME

    def of(self, code: str, before: str | None, kernel: str | None = None) -> list[CodeLine]:
        new = self._lines(code, kernel)
        if before is None or before == code:
            return [CodeLine("same", _spans(line)) for line in new]
        old = self._lines(before, kernel)
        changes = line_changes([text_of(line) for line in old], [text_of(line) for line in new])
        marks = _marks(old, new, changes)
        return [
            CodeLine(each.change, _spans(_line(old, new, each), marks.get(each)))
            for each in changes
        ]

    def _lines(self, code: str, kernel: str | None) -> list[Line]:
        if len(code) > MAX_CHARACTERS or self._left < 0:
            return plain_lines(code)[:MAX_LINES]
        start = time.thread_time()
        lines = highlighted_lines(code, language_of(code, kernel))
        self._left -= time.thread_time() - start
        return list(lines[:MAX_LINES])


def _line(old: list[Line], new: list[Line], change: LineChange) -> Line:
    if change.new is not None:
        return new[change.new]
    return old[change.old or 0]


def _marks(old: list[Line], new: list[Line], changes: list[LineChange]) -> dict[LineChange, slice]:
    """What changed within lines: those removed and those added in their place, pair by pair."""
    marks: dict[LineChange, slice] = {}
    removed: list[LineChange] = []
    added: list[LineChange] = []
    for each in [*changes, LineChange("same", None, None)]:
        if each.change == "removed":
            removed.append(each)
        elif each.change == "added":
            added.append(each)
        else:
            for one, other in zip(removed, added, strict=False):
                texts = text_of(_line(old, new, one)), text_of(_line(old, new, other))
                if spans := changed_span(*texts):
                    marks[one], marks[other] = spans
            removed, added = [], []
    return marks


def _spans(line: Line, mark: slice | None = None) -> list[CodeSpan]:
    """The pieces of a line, cut at both ends of what is marked."""
    if mark is None:
        return [CodeSpan(piece.text, piece.kind) for piece in line]
    spans: list[CodeSpan] = []
    place = 0
    for piece in line:
        for part, is_changed in _parts(piece, place, mark):
            if part:
                spans.append(CodeSpan(part, piece.kind, is_changed))
        place += len(piece.text)
    return spans


def _parts(piece: Piece, place: int, mark: slice) -> list[tuple[str, bool]]:
    """A piece that begins at `place` as three parts: before the mark, in it, after it."""
    start = min(max(0, mark.start - place), len(piece.text))
    stop = min(max(start, mark.stop - place), len(piece.text))
    text = piece.text
    return [(text[:start], False), (text[start:stop], True), (text[stop:], False)]


_CODES = msgspec.json.Decoder(list[Code])
