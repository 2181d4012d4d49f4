"""From a request body to events: once and strictly, and item by item only where that fails."""

import re
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec.json import Decoder

from monitor.errors import Detail, InvalidBody, InvalidItem, TooLarge
from monitor.events.dialects import EventData, SnakeEventData
from monitor.events.event import Event, Payload, Rejected, derived_id, in_utc
from monitor.events.legacy import CellMonitorData
from monitor.events.metadata import Metadata, as_raw, merged

T = TypeVar("T")
Item = EventData | SnakeEventData | CellMonitorData


class Dialect(NamedTuple):
    """What the strict and the lenient decoder need to know of a wire struct."""

    batch: Decoder[Any]
    item: Decoder[Any]
    fields: frozenset[str]
    id_field: str
    time_field: str


def _names(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))


_CAMEL = Dialect(
    Decoder(list[EventData]), Decoder(EventData), _names(EventData), "eventId", "eventTime"
)
_SNAKE = Dialect(
    Decoder(list[SnakeEventData]),
    Decoder(SnakeEventData),
    _names(SnakeEventData),
    "event_id",
    "timestamp",
)
CELL_MONITOR = Dialect(
    Decoder(list[CellMonitorData]),
    Decoder(CellMonitorData),
    _names(CellMonitorData),
    "eventId",
    "timestamp",
)
EVENT_DIALECTS = (_CAMEL, _SNAKE)
_ABSENT = msgspec.Raw()
_STRING = Decoder(str)
_FIELDS = Decoder(dict[str, msgspec.Raw])
_MISSING = re.compile("Object missing required field `(.*)`")

_ESCAPE = re.compile(rb"\\u")  # `in` takes three times as long where there are many backslashes

# Escapes that are legal JSON but no text that PostgreSQL can hold: NUL, and half a surrogate pair.
# Escaped backslashes and whole pairs match first, so that they are passed over.
_ESCAPES = re.compile(
    rb"(?:\\\\)+"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def decode(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...] = EVENT_DIALECTS,
) -> Payload:
    """The events of a JSON array in one of the dialects, and the items that are none.

    Raises InvalidBody when the body is no JSON array, TooLarge when it has too many items.
    """
    body = repair(body)
    try:
        if body.count(b"{") > max_events:
            _items(body, max_events)
        for dialect in dialects:
            try:
                items = dialect.batch.decode(body)
                return Payload([item.to_event(received_at) for item in items], [])
            except (msgspec.ValidationError, InvalidItem):
                continue
        return _decode_items(body, received_at, max_events, dialects)
    except msgspec.ValidationError as error:
        _refuse(str(error).removesuffix(" - at `$`"), "type_error")
    except msgspec.DecodeError as error:
        _refuse(str(error), "json_invalid")
    except UnicodeDecodeError as error:
        _refuse(f"The body is not UTF-8: {error.reason}", "json_invalid")
    except RecursionError:
        _refuse("The body is nested too deep", "json_invalid")


def repair(body: bytes) -> bytes:
    """The body with U+FFFD for each escape that stands for NUL or for half a surrogate pair."""
    if _ESCAPE.search(body):
        return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], body)
    return body


def marked(body: bytes, mark: bytes) -> bytes:
    r"""The body with `mark` for the `\u` of each such escape: decodable, and nothing is lost."""
    return _ESCAPES.sub(lambda match: mark + match[1][2:] if match[1] else match[0], body)


def _refuse(message: str, kind: str) -> NoReturn:
    raise InvalidBody(Detail(("body",), message, kind)) from None


def _items(body: bytes, max_events: int) -> list[msgspec.Raw]:
    """The items of an array, without ever holding more than are allowed."""
    try:
        items = msgspec.structs.astuple(_array_of(max_events).decode(body))
    except msgspec.ValidationError as error:
        if "at most" in str(error):
            raise TooLarge(f"More events than the limit, {max_events}") from None
        raise
    return [item for item in items if item is not _ABSENT]


@lru_cache
def _array_of(length: int) -> Decoder[msgspec.Struct]:
    # msgspec builds a whole list before it looks at its length; of a struct it stops at the end.
    fields = [(f"item{index}", msgspec.Raw, _ABSENT) for index in range(length)]
    return Decoder(msgspec.defstruct("Items", fields, array_like=True, forbid_unknown_fields=True))


def _decode_items(
    body: bytes, received_at: datetime, max_events: int, dialects: tuple[Dialect, ...]
) -> Payload:
    events, rejected = [], []
    for index, raw in enumerate(_items(body, max_events)):
        try:
            events.append(_decode_item(raw, received_at, dialects))
        except InvalidItem as error:
            text = bytes(raw).decode()
            rejected.append(Rejected(index, error.path, error.reason, text, received_at))
    return Payload(events, rejected)


def _decode_item(raw: msgspec.Raw, received_at: datetime, dialects: tuple[Dialect, ...]) -> Event:
    fields = {
        name: value for name, value in _typed(raw, _FIELDS).items() if bytes(value) != b"null"
    }
    snake = _SNAKE in dialects and "event_type" in fields and "eventType" not in fields
    return _lenient(fields, _SNAKE if snake else dialects[0]).to_event(received_at)


def _lenient(fields: Metadata, dialect: Dialect) -> Item:
    """Reads what the strict decoder refuses: unknown fields, foreign ids, unusual times."""
    id_field, time_field = dialect.id_field, dialect.time_field
    others = {name: fields.pop(name) for name in list(fields) if name not in dialect.fields}
    if event_id := _text(fields, id_field):
        fields[id_field] = as_raw(_uuid(event_id))
    if time_text := _text(fields, time_field):
        if time := _time(time_text):
            fields[time_field] = as_raw(time)
        else:
            others["eventTime"] = fields.pop(time_field)
    item: Item = _typed(msgspec.json.encode(fields), dialect.item)
    if others:
        item.metadata = merged(item.metadata, others)
    return item


def _text(fields: Metadata, name: str) -> str:
    """The field as text; empty, and then gone, when it is absent or empty."""
    text = _typed(fields.get(name, b'""'), _STRING, name)
    if not text:
        fields.pop(name, None)
    return text


def _uuid(text: str) -> uuid.UUID:
    try:
        return msgspec.convert(text, uuid.UUID)
    except msgspec.ValidationError:
        return derived_id(text)


def _time(text: str) -> datetime | None:
    try:
        return msgspec.convert(text, datetime)  # rounds a long fraction as the strict decoder does
    except msgspec.ValidationError:
        pass
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def _typed(raw: bytes | msgspec.Raw, decoder: Decoder[T], name: str = "") -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        missing = _MISSING.match(reason)
        raise InvalidItem(missing[1] if missing else name + path.strip("`."), reason) from None
