"""An event, independent of its wire dialect, and the payload of a request."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

Indexed = Annotated[str, msgspec.Meta(max_length=512)]
Required = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]

NO_CLASS = 0  # the class_id of what belongs to no class
OLDEST, NEWEST = timedelta(days=400), timedelta(days=1)  # usable times: before, after now
_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECONDS = (  # in the unit of numbers below each limit: those of 1973 to 5138 are recognised
    (1e11, 1_000.0),
    (1e14, 1.0),
    (1e17, 1e-3),
    (1e20, 1e-6),
)
_NAMESPACE = uuid.UUID("6c1f3a52-8a0e-5d7b-9d57-0f6a1a4c2e11")


class Source(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Who sent a request, as it was at its receipt; its events keep it.

    `credential` is `key 7`, `token 12` or `person ann`; None without one. `student` is the user_id
    that the credential is bound to, `other_ids` are those that were merged into it: only that
    student's events may be sent with it, and they are `verified`, until the credential ends
    (`valid_until`, seconds since 1970; None: never, for JSON has no infinity). `class_id` is the
    class of a key, or the one that a student's token was issued for. `class_code` is the class that
    the URL names, `sent_offset` the time of receipt minus the sender's `sentAt`, in microseconds.
    `payer` stands for the sender's address where several may send with the credential, or where
    there is none: opaque, and another one after each start of the server.
    """

    credential: str | None = None
    class_id: int | None = None
    student: str | None = None
    verified: bool = False
    valid_until: float | None = None
    class_code: str | None = None
    sent_offset: int | None = None
    other_ids: tuple[str, ...] = ()
    payer: str | None = None


NO_SOURCE = Source()


class Event(msgspec.Struct, eq=False, gc=False):
    """An event. Fields that the client left out or empty are None. Times are in UTC.

    `time` is judged, and `class_id` decided, when the event is stored.
    """

    id: uuid.UUID  # the client's, or derived from the content; retries have the same one
    type: str  # as sent; `monitor.events.types` says what each means
    time: datetime  # by the client's clock; without a usable one that of the first receipt
    untimed: bool  # no usable time: `time` is that of this receipt, an earlier one may exist
    received_at: datetime  # by the server's clock
    student: str  # userId, or emailAddress without one
    name: str | None
    email: str | None
    team: str | None
    session: str | None  # the client's id of a JupyterLab session
    notebook: str | None  # its path
    cell: str | None  # the client's id of the cell
    cell_type: str | None  # such as `code` or `markdown`
    cell_index: int | None  # the cell's position in the notebook, from 0
    code: str | None
    execution_count: int | None  # of the kernel, as in `In [3]`
    failed: bool
    output: str | None
    error: str | None
    duration_ms: float | None  # of the execution, in milliseconds
    metadata: str  # JSON: an object, with the unknown fields of the item too
    class_code: str | None = None  # of the class that the item names
    source: Source = NO_SOURCE
    class_id: int = NO_CLASS


class Rejected(msgspec.Struct, frozen=True):
    """An item of a request that is not stored as an event, and the reason.

    `index` is its position in the request, from 0; `path` names the field, empty for the whole
    item; `raw` is the item as JSON. `received_at`, if set, identifies this receipt on a retry. With
    `by_policy` the item is valid, but its class does not take it.
    """

    index: int
    path: str
    reason: str
    raw: str
    received_at: datetime | None = None
    source: Source = NO_SOURCE
    by_policy: bool = False


class Payload(msgspec.Struct, array_like=True, eq=False):
    """The events and the rejected items of one request, each in the order of the request."""

    events: list[Event]
    rejected: list[Rejected]

    def __len__(self) -> int:
        return len(self.events) + len(self.rejected)

    def numbered(self) -> Iterator[tuple[int, Event]]:
        """The events with their positions in the request."""
        rejected = {item.index for item in self.rejected}
        positions = (index for index in range(len(self)) if index not in rejected)
        return zip(positions, self.events, strict=True)


def in_utc(time: datetime) -> datetime:
    """The same time in UTC; a naive time is taken as UTC."""
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:  # at either end of the calendar
        return time.replace(tzinfo=UTC)


def time_of(text: str) -> datetime | None:
    """The time that a client writes, in ISO 8601 or as a number since 1970; None if it is none.

    A number is in seconds, milliseconds, microseconds or nanoseconds, as its size makes clear.
    """
    try:
        return msgspec.convert(text, datetime)  # rounds a long fraction as the strict decoder does
    except msgspec.ValidationError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        number = float(text)
        unit = next(unit for limit, unit in _MILLISECONDS if abs(number) < limit)
        return _EPOCH + timedelta(milliseconds=number * unit)
    except (ValueError, OverflowError, StopIteration):
        return None


def derived_id(content: str) -> uuid.UUID:
    """The id of an event without a UUID: the same for the same content."""
    return uuid.uuid5(_NAMESPACE, content)
