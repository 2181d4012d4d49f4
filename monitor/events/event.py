"""An event, independent of its wire dialect, and what a request brings."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

Indexed = Annotated[str, msgspec.Meta(max_length=512)]
Required = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]

OLDEST, NEWEST = timedelta(days=400), timedelta(days=1)
_NAMESPACE = uuid.UUID("6c1f3a52-8a0e-5d7b-9d57-0f6a1a4c2e11")


class Event(msgspec.Struct, eq=False, gc=False):
    """What a student did, whichever dialect told of it. Empty and absent are both None.

    `time` is the client's; where there was none it is that of this receipt, and `untimed` until it
    has become that of the first. `metadata` is the text of a JSON object.
    """

    id: uuid.UUID
    type: str
    time: datetime
    untimed: bool
    received_at: datetime
    student: str
    name: str | None
    email: str | None
    team: str | None
    session: str | None
    notebook: str | None
    cell: str | None
    cell_type: str | None
    cell_index: int | None
    code: str | None
    execution_count: int | None
    failed: bool
    output: str | None
    error: str | None
    duration_ms: float | None
    metadata: str
    class_id: int | None = None  # in which its key enrols the student


class Rejected(msgspec.Struct, frozen=True):
    """An item of a request that is not stored as an event, and why.

    `index` is its place in the request; `path` names the field, empty for the whole item; `raw` is
    the item as JSON. By the time of its receipt it is known again, where one is given.
    """

    index: int
    path: str
    reason: str
    raw: str
    received_at: datetime | None = None


class Payload(msgspec.Struct, array_like=True, eq=False):
    """What one request brought."""

    events: list[Event]
    rejected: list[Rejected]

    def __len__(self) -> int:
        return len(self.events) + len(self.rejected)

    def numbered(self) -> Iterator[tuple[int, Event]]:
        """The events with their places in the request."""
        gaps = {item.index for item in self.rejected}
        places = (index for index in range(len(self)) if index not in gaps)
        return zip(places, self.events, strict=True)


def in_utc(time: datetime) -> datetime:
    """The same time in UTC, which is also what a time without a zone is taken for."""
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:  # at either end of the calendar
        return time.replace(tzinfo=UTC)


def derived_id(content: str) -> uuid.UUID:
    """The id of an event that brought no UUID: the same for the same content."""
    return uuid.uuid5(_NAMESPACE, content)
