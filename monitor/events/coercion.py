"""Turns field values of another type into the one expected, where their meaning is clear."""

import math
import re
from collections.abc import Callable, Iterable

import msgspec
from msgspec.json import Decoder

from monitor.events.bounded import bounded_array
from monitor.events.metadata import Metadata, as_raw
from monitor.events.outputs import CellOutput, Outputs

_MAX_OUTPUTS = 2_000  # of a run, where some are no outputs of nbformat
_INTEGER = re.compile(r"([+-]?[0-9]{1,20})(?:\.0*)?")
_TRUE, _FALSE = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})
_STRING, _STRINGS = Decoder(str), Decoder(list[str])
_OUTPUTS: Decoder[Outputs] = Decoder(Outputs)
_FIELDS = Decoder(dict[str, msgspec.Raw])


class Unclear(Exception):
    """The value is of another type, and its meaning is not clear."""


class Unusable(Unclear):
    """The field is never a reason to reject its item: the value is kept in metadata."""


def coerce(fields: Metadata, names: Iterable[tuple[str, str]]) -> Metadata:
    """Replaces the values of `fields` that have a clear meaning; returns what is for metadata.

    `names` are the fields' names on the wire, each with that in EventData. What is unclear stays.
    """
    others: Metadata = {}
    for wire, name in names:
        if wire not in fields or name in _JUDGED:
            continue
        try:
            value = _COERCIONS.get(name, _identifier)(bytes(fields[wire]))
        except Unusable:
            others[wire] = fields.pop(wire)
        except Unclear:
            continue
        else:
            fields[wire] = as_raw(value)
    return others


def text_of(raw: bytes | msgspec.Raw) -> str | None:
    """The text of a string, or of a number as it is written; None for any other value."""
    raw = bytes(raw)
    if raw.startswith(b'"'):
        return _STRING.decode(raw)
    return raw.decode() if raw[:1] in b"-0123456789" else None


def _identifier(raw: bytes) -> str:
    text = text_of(raw)
    if text is None or not (raw.startswith(b'"') or text.removeprefix("-").isdigit()):
        raise Unclear
    return text


def _integer(raw: bytes) -> int | None:
    text = (text_of(raw) or "").strip()
    if not text and raw.startswith(b'"'):
        return None
    match = _INTEGER.fullmatch(text)
    if not match:
        raise Unclear
    return int(match[1])


def _boolean(raw: bytes) -> bool | None:
    text = (text_of(raw) or "").strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text or not raw.startswith(b'"'):
        raise Unclear
    return None


def _number(raw: bytes) -> float | None:
    text = (text_of(raw) or "").strip()
    try:
        number = float(text)
    except ValueError:
        raise Unusable from None
    if not math.isfinite(number):
        raise Unusable
    return number


def _lines(raw: bytes) -> str:
    """The text of lines, which end in newlines as nbformat has them, or have none."""
    try:
        lines = _STRINGS.decode(raw)
    except msgspec.ValidationError:
        raise Unclear from None
    if any(line.endswith("\n") for line in lines[:-1]):
        return "".join(lines)
    return "\n".join(lines)


def _message(raw: bytes) -> str:
    """The text of a string or of lines; any other value as JSON."""
    try:
        return _lines(raw)
    except Unclear:
        return _as_written(raw)


def _error(raw: bytes) -> str:
    """`name: message` of an error, or its lines."""
    if not raw.startswith(b"{"):
        return _message(raw)
    fields = _FIELDS.decode(raw)
    parts = [fields.get("ename", fields.get("name")), fields.get("evalue", fields.get("message"))]
    return ": ".join(_as_written(bytes(part)) for part in parts if part) or _as_written(raw)


def _outputs(raw: bytes) -> Outputs:
    try:
        return _OUTPUTS.decode(raw)
    except msgspec.ValidationError:
        if not raw.startswith(b"["):
            return _output(raw, _as_written(raw))
    try:
        elements = bounded_array(raw, _MAX_OUTPUTS, strict=True)
    except msgspec.ValidationError:
        return _as_written(raw)
    return [_output(bytes(element), "") for element in elements]


def _output(raw: bytes, otherwise: str) -> str | CellOutput:
    """An output, or the value as text; `otherwise` for an object that says nothing of its kind."""
    if not raw.startswith(b"{"):
        return _as_written(raw)
    fields = _FIELDS.decode(raw)
    output = CellOutput(
        output_type=_as_written(bytes(fields.get("output_type", b'""'))),
        text=_optional(fields, "text", _joined_text),
        ename=_optional(fields, "ename", _as_written),
        evalue=_optional(fields, "evalue", _as_written),
        traceback=_optional(fields, "traceback", _message),
    )
    data = bytes(fields.get("data", b""))
    if data.startswith(b"{"):
        output.data = _FIELDS.decode(data)
    is_one = output.data is not None or output.text is not None or output.error
    return output if is_one else otherwise


def _optional(fields: Metadata, name: str, coercion: Callable[[bytes], str]) -> str | None:
    raw = bytes(fields.get(name, b"null"))
    return None if raw == b"null" else coercion(raw)


def _joined_text(raw: bytes) -> str:
    try:
        return "".join(_STRINGS.decode(raw))
    except msgspec.ValidationError:
        return _as_written(raw)


def _as_written(raw: bytes) -> str:
    """The text of a string; any other value as JSON."""
    return _STRING.decode(raw) if raw.startswith(b'"') else raw.decode()


_JUDGED = frozenset({"event_type", "event_id", "event_time", "timestamp", "metadata"})
_COERCIONS: dict[str, Callable[[bytes], object]] = {
    "cell_index": _integer,
    "execution_count": _integer,
    "has_error": _boolean,
    "execution_duration_ms": _number,
    "execution_time": _number,
    "code": _lines,
    "cell_content": _lines,
    "error_message": _error,
    "execution_status": _as_written,
    "result": _outputs,
    "outputs": _outputs,
}
