"""Decodes request bodies: strictly as a whole and, only if that fails, leniently item by item."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec.json import Decoder

from monitor.errors import Detail, InvalidBody, InvalidItem, TooLarge
from monitor.events.bounded import bounded_array
from monitor.events.coercion import coerce, text_of
from monitor.events.cutting import cut
from monitor.events.dialects import EventData, SnakeEventData, to_event
from monitor.events.escapes import repair
from monitor.events.event import NO_SOURCE, Event, Payload, Rejected, Source, derived_id, time_of
from monitor.events.json_text import in_utf8, without_nan
from monitor.events.legacy import CellMonitorData, cell_to_event
from monitor.events.metadata import Metadata, as_raw, merged

T = TypeVar("T")

LARGE_BODY = 512 * 1024  # bytes; a larger one is decoded in a thread, in small steps
_STEP = 0.002  # seconds after which such a thread lets the others work
_PAUSE = 0.0005  # seconds: with none, it would have the interpreter's lock again at once


class Dialect(NamedTuple):
    """How a wire struct is decoded, strictly and leniently, and becomes an event."""

    batch: Decoder[Any]
    item: Decoder[Any]
    to_event: Callable[[Any, datetime, Source], Event]
    fields: dict[str, str]  # on the wire: their names here
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
        fields={field.encode_name: field.name for field in msgspec.structs.fields(struct)},
        id_field=id_field,
        time_field=time_field,
    )


_CAMEL = _dialect(EventData, to_event, "eventId", "eventTime")
_SNAKE = _dialect(SnakeEventData, to_event, "event_id", "timestamp")
CELL_MONITOR = _dialect(CellMonitorData, cell_to_event, "eventId", "timestamp")
EVENT_DIALECTS = (_CAMEL, _SNAKE)
_FIELDS = Decoder(dict[str, msgspec.Raw])
_MISSING = re.compile("Object missing required field `(.*)`")


def decode(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...] = EVENT_DIALECTS,
    source: Source = NO_SOURCE,
    max_bytes: int | None = None,
) -> Payload:
    """The events of a JSON array, each item in one of the dialects, and the invalid items.

    `received_at` (UTC) is the time of receipt; `max_events` limits the number of items, which
    `source` has sent. A body of more than `max_bytes` has one item only, and is cut. One of more
    than LARGE_BODY takes pauses: not on the event loop. Raises InvalidBody if the body is not a
    JSON array, TooLarge if it has too many items.
    """
    decode_items = _decode_in_steps if len(body) > LARGE_BODY else _decode
    try:
        if max_bytes is not None and len(body) > max_bytes:
            body = _cut(body, max_bytes, dialects)
        try:
            return decode_items(repair(body), received_at, max_events, dialects, source)
        except (msgspec.DecodeError, UnicodeDecodeError):
            plain = without_nan(in_utf8(body))
            if plain is body:
                raise
            return decode_items(repair(plain), received_at, max_events, dialects, source)
    except msgspec.ValidationError as error:
        _refuse(str(error).removesuffix(" - at `$`"), "type_error")
    except msgspec.DecodeError as error:
        _refuse(str(error), "json_invalid")
    except UnicodeDecodeError as error:
        _refuse(f"The body is not {error.encoding.upper()}: {error.reason}", "json_invalid")
    except RecursionError:
        _refuse("The body is nested too deep", "json_invalid")


def _decode(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...],
    source: Source,
) -> Payload:
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


def _decode_in_steps(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...],
    source: Source,
) -> Payload:
    """The same, item by item: all at once would hold the interpreter's lock for 0.1 s and more."""
    items = _items(body, max_events)
    payload = Payload([], [])
    since = time.perf_counter()
    for index, raw in enumerate(items):
        event = _strictly(raw, received_at, dialects, source)
        _add(payload, event or _leniently(index, raw, received_at, dialects, source))
        if time.perf_counter() - since > _STEP:
            time.sleep(_PAUSE)
            since = time.perf_counter()
    return payload


def _strictly(
    raw: msgspec.Raw, received_at: datetime, dialects: tuple[Dialect, ...], source: Source
) -> Event | None:
    for dialect in dialects:
        try:
            return dialect.to_event(dialect.item.decode(raw), received_at, source)
        except (msgspec.ValidationError, InvalidItem):
            continue
    return None


def _cut(body: bytes, max_bytes: int, dialects: tuple[Dialect, ...]) -> bytes:
    """Raises TooLarge unless the body is one event."""
    names = frozenset(name for dialect in dialects for name in dialect.fields)
    try:
        body = in_utf8(body)
        try:
            return cut(body, max_bytes, names)
        except msgspec.DecodeError:
            plain = repair(without_nan(body))
            if plain is body:
                raise
            return cut(plain, max_bytes, names)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        limit = f"The body is larger than the limit, {max_bytes} bytes, and not one event"
        raise TooLarge(limit) from None


def _refuse(message: str, kind: str) -> NoReturn:
    raise InvalidBody(Detail(("body",), message, kind)) from None


def _items(body: bytes, max_events: int) -> list[msgspec.Raw]:
    """The items of an array. Raises TooLarge before more than `max_events` are in memory."""
    try:
        return bounded_array(body, max_events, strict=True)
    except msgspec.ValidationError as error:
        if "at most" in str(error):
            raise TooLarge(f"More events than the limit, {max_events}") from None
        raise


def _decode_items(
    body: bytes,
    received_at: datetime,
    max_events: int,
    dialects: tuple[Dialect, ...],
    source: Source,
) -> Payload:
    payload = Payload([], [])
    for index, raw in enumerate(_items(body, max_events)):
        _add(payload, _leniently(index, raw, received_at, dialects, source))
    return payload


def _add(payload: Payload, item: Event | Rejected) -> None:
    if isinstance(item, Event):
        payload.events.append(item)
    else:
        payload.rejected.append(item)


def _leniently(
    index: int,
    raw: msgspec.Raw,
    received_at: datetime,
    dialects: tuple[Dialect, ...],
    source: Source,
) -> Event | Rejected:
    try:
        return _decode_item(raw, received_at, dialects, source)
    except InvalidItem as error:
        return Rejected(
            index=index,
            path=error.path,
            reason=error.reason,
            raw=bytes(raw).decode(),
            received_at=received_at,
            source=source,
        )


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
    """Decodes what the strict decoder refuses: unknown fields, ids of any form, odd values."""
    others = {name: fields.pop(name) for name in list(fields) if name not in dialect.fields}
    _read_id(fields, others, dialect.id_field)
    _read_time(fields, others, dialect.time_field)
    metadata: Metadata = {}
    if raw := fields.pop("metadata", None):
        if bytes(raw).startswith(b"{"):
            metadata = _FIELDS.decode(raw)
        else:
            others["metadata"] = raw
    try:
        return dialect.item.decode(_encoded(fields, metadata, others))
    except msgspec.ValidationError:
        others |= coerce(fields, dialect.fields.items())
        return _typed(_encoded(fields, metadata, others), dialect.item)


def _encoded(fields: Metadata, metadata: Metadata, others: Metadata) -> bytes:
    """The item with its metadata, to which the other fields are added."""
    if not metadata and not others:
        return msgspec.json.encode(fields)
    return msgspec.json.encode({**fields, "metadata": merged(metadata, others)})


def _read_id(fields: Metadata, others: Metadata, name: str) -> None:
    """Replaces an id that is no UUID by one that is derived from it."""
    if name not in fields:
        return
    raw = fields.pop(name)
    text = text_of(raw)
    if text is None:
        others["eventId"] = raw
    elif text:
        fields[name] = as_raw(_uuid(text))


def _read_time(fields: Metadata, others: Metadata, name: str) -> None:
    """Replaces a time of another form; what is no time is kept as `eventTime` in metadata."""
    if name not in fields:
        return
    raw = fields.pop(name)
    text = text_of(raw)
    if text == "":
        return
    if time := time_of(text) if text else None:
        fields[name] = as_raw(time)
    else:
        others["eventTime"] = raw


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
