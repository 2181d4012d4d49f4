"""Pages of what a student did, newest first: each starts where the one before it ended."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec

from monitor.database.paging import Limit
from monitor.database.reads import Reads
from monitor.errors import Detail, InvalidBody, NotFound
from monitor.events.event import in_utc
from monitor.insight.question import Question

T = TypeVar("T")

_EPOCH = datetime.fromtimestamp(0, UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_FIRST = uuid.UUID(int=0)


class PageCursor(NamedTuple):
    """A place in a time line: what comes after it is older."""

    time: datetime
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{(self.time - _EPOCH) // timedelta(microseconds=1)}.{self.id.hex}"

    @classmethod
    def of(cls, text: str) -> "PageCursor":
        """Raises InvalidBody."""
        time, _, key = text.partition(".")
        try:
            return cls(_EPOCH + timedelta(microseconds=int(time)), uuid.UUID(hex=key))
        except (ValueError, OverflowError):
            detail = Detail(("query", "cursor"), "Not the `next` of a page", "value_error")
            raise InvalidBody(detail) from None


class Span(Question, frozen=True, kw_only=True):
    """Which page, and of which time (without a zone: UTC)."""

    since: datetime | msgspec.UnsetType = msgspec.UNSET
    until: datetime | msgspec.UnsetType = msgspec.UNSET
    cursor: Annotated[str, msgspec.Meta(max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    limit: Limit = 100

    def start(self) -> datetime:
        return _EPOCH if self.since is msgspec.UNSET else in_utc(self.since)

    def place(self) -> PageCursor:
        """Where the page starts. Raises InvalidBody."""
        until = _END if self.until is msgspec.UNSET else in_utc(self.until)
        place = PageCursor(until, _FIRST)
        return place if self.cursor is msgspec.UNSET else min(place, PageCursor.of(self.cursor))


class PageOf(msgspec.Struct, Generic[T]):
    """Some items, newest first, and the cursor of the next page; null when there is none.

    With filters a page may be short, or even empty, and still have a next one.
    """

    items: list[T]
    next: str | None


async def check_student(reads: Reads, student_id: int) -> None:
    """Raises NotFound."""
    if not await reads.fetchval("SELECT true FROM students WHERE id = $1", student_id):
        raise NotFound(f"There is no student {student_id}")
