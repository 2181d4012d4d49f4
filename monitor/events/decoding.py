"""Decodes request bodies: strictly as a whole and, only if that fails, leniently item by item."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec.json import Decoder

from monitor.errors import Detail, InvalidBody, InvalidItem, TooLarge
from monitor.events.dialects import EventData, SnakeEventData, to_event
from monitor.events.event import NO_SOURCE, Event, Payload, Rejected, Source, derived_id, time_of
from monitor.events.legacy import CellMonitorData, cell_to_event
from monitor.events.metadata import Metadata, as_raw, merged

T = TypeVar("T")


class Dialect(NamedTuple):
    """How a wire struct is decoded, strictly and leniently, and becomes an event."""

    batch: Decoder[Any]
    item: Decoder[Any]
    to_event: Callable[[Any, datetime, Source], Event]
    fields: frozenset[str]  # on the wire
    id_field: str
    time_field: str


def _dialect(
    struct: type[msgspec.Struct],
    to_event: Callable[[Any, datetime, Source], Event],
    id_field: str,
    time_field: str,
) -> Dialect:
    return Dialect(
        batch=Decoder(list[struct]),  # type: ignore[valid-type]
        item=Decoder(struct),
        to_event=to_event,
        fields=frozenset(field.encode_name for field in msgspec.structs.fields(struct)),
        id_field=id_field,
        time_field=time_field,
    )


_CAMEL = _dialect(EventData, to_event, "eventId", "eventTime")
_SNAKE = _dialect(SnakeEventData, to_event, "event_id", "timestamp")
CELL_MONITOR = _dialect(CellMonitorData, cell_to_event, "eventId", "timestamp")
EVENT_DIALECTS = (_CAMEL, _SNAKE)
_ABSENT = msgspec.Raw()
_STRING = Decoder(str)
_FIELDS = Decoder(dict[str, msgspec.Raw])
_MISSING = re.compile("Object missing required field `(.*)`")

_ESCAPE = re.compile(rb"\\u")  # `in` takes three times as long where there are many backslashes

# Escapes that are legal JSON but that PostgreSQL can't store: NUL, and half of a surrogate pair.
# Escaped backslashes and whole pairs match first, so that they are skipped.
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
    source: Source = NO_SOURCE,
) -> Payload:
    """The events of a JSON array, each item in one of the dialects, and the invalid items.

    `received_at` (UTC) is the time of receipt; `max_events` limits the number of items, which
    `source` has sent. Raises InvalidBody if the body is not a JSON array, TooLarge if it has too
    many items.
    """
    body = repair(body)
    try:
        if body.count(b"{") > max_events:
            _items(body, max_events)
        for dialect in dialects:
            try:
                items = dialect.batch.decode(body)
                convert = dialect.to_event
                return Payload([convert(item, received_at, source) for item in items], [])
            except (msgspec.ValidationError, InvalidItem):
                continue
        return _decode_items(body, received_at, max_events, dialects, source)
    except msgspec.ValidationError as error:
        _refuse(str(error).removesuffix(" - at `$`"), "type_error")
    except msgspec.DecodeError as error:
        _refuse(str(error), "json_invalid")
    except UnicodeDecodeError as error:
        _refuse(f"The body is not UTF-8: {error.reason}", "json_invalid")
    except RecursionError:
        _refuse("The body is nested too deep", "json_invalid")


def repair(body: bytes) -> bytes:
    """The body with U+FFFD for each escaped NUL or half of a surrogate pair."""
    if _ESCAPE.search(body):
        return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], body)
    return body


def marked(body: bytes, mark: bytes) -> bytes:
    r"""The body with `mark` for the `\u` of each such escape: decodable without loss."""
    return _ESCAPES.sub(lambda match: mark + match[1][2:] if match[1] else match[0], body)


def _refuse(message: str, kind: str) -> NoReturn:
    raise InvalidBody(Detail(("body",), message, kind)) from None


def _items(body: bytes, max_events: int) -> list[msgspec.Raw]:
    """The items of an array. Raises TooLarge before more than `max_events` are in memory."""
    try:
        items = msgspec.structs.astuple(_bounded_array_decoder(max_events).decode(body))
    except msgspec.ValidationError as error:
        if "at most" in str(error):
            raise TooLarge(f"More events than the limit, {max_events}") from None
        raise
    return [item for item in items if item is not _ABSENT]


@lru_cache
def _bounded_array_decoder(length: int) -> Decoder[msgspec.Struct]:
    # msgspec builds a whole list before it checks its length; a struct it leaves after its fields.
    fields = [(f"item{index}", msgspec.Raw, _ABSENT) for index in range(length)]
    return Decoder(msgspec.defstruct("Items", fields, array_like=True, forbid_unknown_fields=True))


def _decode_items(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...],
    source: Source,
) -> Payload:
    events, rejected = [], []
    for index, raw in enumerate(_items(body, max_events)):
        try:
            events.append(_decode_item(raw, received_at, dialects, source))
        except InvalidItem as error:
            text = bytes(raw).decode()
            rejected.append(
                Rejected(
                    index=index,
                    path=error.path,
                    reason=error.reason,
                    raw=text,
                    received_at=received_at,
                    source=source,
                )
            )
    return Payload(events, rejected)


def _decode_item(
    raw: msgspec.Raw, received_at: datetime, dialects: tuple[Dialect, ...], source: Source
) -> Event:
    fields = {
        name: value for name, value in _typed(raw, _FIELDS).items() if bytes(value) != b"null"
    }
    snake = _SNAKE in dialects and "event_type" in fields and "eventType" not in fields
    dialect = _SNAKE if snake else dialects[0]
    return dialect.to_event(_lenient(fields, dialect), received_at, source)


def _lenient(fields: Metadata, dialect: Dialect) -> Any:
    """Decodes what the strict decoder refuses: unknown fields, ids of any form, odd times."""
    id_field, time_field = dialect.id_field, dialect.time_field
    others = {name: fields.pop(name) for name in list(fields) if name not in dialect.fields}
    if event_id := _text(fields, id_field):
        fields[id_field] = as_raw(_uuid(event_id))
    if time_text := _text(fields, time_field):
        if time := time_of(time_text):
            fields[time_field] = as_raw(time)
        else:
            others["eventTime"] = fields.pop(time_field)
    metadata = bytes(fields.get("metadata", b"{}"))
    if others and metadata.startswith(b"{"):  # the decoder refuses any other value
        fields["metadata"] = as_raw(merged(_FIELDS.decode(metadata), others))
    return _typed(msgspec.json.encode(fields), dialect.item)


def _text(fields: Metadata, name: str) -> str:
    """The field as text; an empty one is removed, like one that is absent."""
    text = _typed(fields.get(name, b'""'), _STRING, name)
    if not text:
        fields.pop(name, None)
    return text


def _uuid(text: str) -> uuid.UUID:
    try:
        return msgspec.convert(text, uuid.UUID)
    except msgspec.ValidationError:
        return derived_id(text)


def _typed(raw: bytes | msgspec.Raw, decoder: Decoder[T], name: str = "") -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        missing = _MISSING.match(reason)
        raise InvalidItem(missing[1] if missing else name + path.strip("`."), reason) from None
