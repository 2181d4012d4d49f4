"""What a cell's run shows: outputs as in nbformat become text, an error, and pictures."""

import binascii
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

Lines = str | list[str]

MAX_PICTURES = 20  # of a run
MAX_PICTURES_LENGTH = 1024 * 1024  # characters in base64, of all pictures of a run
SVG = "image/svg+xml"
PICTURE_TYPES = ("image/png", "image/jpeg", SVG, "image/gif", "image/webp")  # best first
_TEXT_TYPES = ("text/plain", "text/markdown", "text/latex")  # best first


class CellOutput(msgspec.Struct, omit_defaults=True):
    """An output as in nbformat: a stream's text, data by media type, or an error."""

    output_type: str
    text: Lines | None = None
    data: dict[str, msgspec.Raw] | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: Lines | None = None

    @property
    def error(self) -> str:
        """The error as `name: message`; empty if this is none."""
        return ": ".join(part for part in (self.ename, self.evalue) if part)

    @property
    def shown_text(self) -> str:
        """The text that the student saw; empty if there is none."""
        if self.text is not None:
            return joined(self.text)
        if self.error and self.traceback:
            return self.traceback if isinstance(self.traceback, str) else "\n".join(self.traceback)
        texts = (_text(self.data, media_type) for media_type in _TEXT_TYPES)
        return next((text for text in texts if text), "")


Outputs = str | list[str | CellOutput] | CellOutput | None


class Picture(msgspec.Struct, rename="camel", omit_defaults=True):
    """A picture among the outputs: `data` is in base64, left out if it is too large to be kept.

    `bytes` is its size. `metadata` keeps a list of them as `pictures`.
    """

    mime_type: str
    bytes: int
    data: str | None = None


class Shown(NamedTuple):
    """What outputs show. `error` is the first one as `name: message`; empty without one."""

    text: str
    error: str
    pictures: list[Picture]


def shown(outputs: list[str | CellOutput] | CellOutput) -> Shown:
    """What these outputs show together, in their order."""
    each = [outputs] if isinstance(outputs, CellOutput) else outputs
    structured = [output for output in each if isinstance(output, CellOutput)]
    error = next((output.error for output in structured if output.error), "")
    return Shown(_text_of(each), error, _bounded(_pictures(structured)))


def joined(lines: Lines) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _text_of(outputs: Iterable[str | CellOutput]) -> str:
    """The texts one after the other; what is no stream begins on a line of its own."""
    texts: list[str] = []
    for output in outputs:
        if isinstance(output, str):
            texts.append(output)
        elif text := output.shown_text:
            if output.text is None and texts and not texts[-1].endswith("\n"):
                texts.append("\n")
            texts.append(text)
    return "".join(texts)


def _text(data: dict[str, msgspec.Raw] | None, media_type: str) -> str:
    raw = (data or {}).get(media_type)
    try:
        return joined(_LINES.decode(raw)) if raw is not None else ""
    except msgspec.ValidationError:
        return ""


def _pictures(outputs: Iterable[CellOutput]) -> Iterator[Picture]:
    for output in outputs:
        data = output.data or {}
        if media_type := next((each for each in PICTURE_TYPES if each in data), None):
            yield _picture(media_type, _text(data, media_type))


def _picture(media_type: str, text: str) -> Picture:
    if media_type == SVG:
        content = text.encode()
    else:
        try:
            content = binascii.a2b_base64("".join(text.split()), strict_mode=True)
        except ValueError:
            return Picture(media_type, len(text))
    return Picture(media_type, len(content), binascii.b2a_base64(content, newline=False).decode())


def _bounded(pictures: Iterator[Picture]) -> list[Picture]:
    """At most MAX_PICTURES; those beyond MAX_PICTURES_LENGTH without their data."""
    kept: list[Picture] = []
    left = MAX_PICTURES_LENGTH
    for picture, _ in zip(pictures, range(MAX_PICTURES), strict=False):
        length = len(picture.data or "")
        if length > left:
            picture.data = None
        else:
            left -= length
        kept.append(picture)
    return kept


_LINES = msgspec.json.Decoder(Lines)
