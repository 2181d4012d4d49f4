"""What was sent with an ingest key or a student's own token, by student and time."""

import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Limit, Listing, Page
from monitor.errors import Detail, InvalidBody
from monitor.events.event import in_utc
from monitor.events.types import CELL_EXECUTIONS, EVENTS_TABLE, NOTEBOOK_ACCESSES

_EPOCH = datetime.fromtimestamp(0, UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_LOWEST_ID = uuid.UUID(int=0)
_MAX_STUDENTS = 20  # whose events are looked at for one page


class Cursor(NamedTuple):
    """A position in the order of student, claimed time and event."""

    student: int
    time: datetime
    id: uuid.UUID

    def __str__(self) -> str:
        time = (self.time - _EPOCH) // timedelta(microseconds=1)
        return f"{self.student}.{time}.{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises InvalidBody."""
        try:
            student, time, key = text.split(".")
            at = _EPOCH + timedelta(microseconds=int(time))
            return cls(_bigint(student), at, uuid.UUID(hex=key))
        except (ValueError, OverflowError):
            detail = Detail(("query", "cursor"), "Not the `next` of a page", "value_error")
            raise InvalidBody(detail) from None


def _bigint(text: str) -> int:
    """Raises ValueError where it is none of PostgreSQL's."""
    if not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError(text)
    return number


_START = Cursor(-(2**63), _EPOCH - timedelta(days=365_000), _LOWEST_ID)


class KeyEventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Received from `since` (included) to `until` (excluded); of one student, or excluded ones.

    `cursor` is the `next` of the page before. A time without a zone is UTC.
    """

    since: datetime | UnsetType = UNSET
    until: datetime | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET
    excluded: Literal["disputed", "withdrawn"] | UnsetType = UNSET
    cursor: Annotated[str, msgspec.Meta(max_length=100)] | UnsetType = UNSET
    limit: Limit = 100


class KeyEvent(msgspec.Struct):
    """An event sent with the credential. `claimed_at` is its time by the student's clock.

    `excluded` is why it does not count: `disputed` (claimed for a student who posts with a
    credential of their own in that class) or `withdrawn`; null: it counts. `class_id` null: in no
    class. `status` is that of an execution.
    """

    student_id: int
    user_id: str
    received_at: datetime
    claimed_at: datetime
    event_id: uuid.UUID
    event_type: str
    class_id: int | None
    session_id: str | None
    notebook_path: str | None
    cell_id: str | None
    status: str | None
    excluded: str | None


class KeyEventPage(msgspec.Struct):
    """Events, by student and time, and the cursor of the next page; null if this is the last one.

    A page may be short, or even empty, and still have a next one.
    """

    items: list[KeyEvent]
    next: str | None


class KeyStudentsQuery(Page, frozen=True, kw_only=True):
    """A page of the students, by whole hours of receipt that overlap `since` to `until`."""

    since: datetime | UnsetType = UNSET
    until: datetime | UnsetType = UNSET


class KeyStudent(msgspec.Struct):
    """A student whose events were sent with the credential, from one hour of receipt to another."""

    student_id: int
    user_id: str
    first_hour: datetime
    last_hour: datetime


async def events_of(
    connection: asyncpg.Connection,
    credential: str,
    query: KeyEventsQuery,
    classes: list[int] | None = None,
) -> KeyEventPage:
    """The events of a credential, such as `key 7`, in these classes if given; 0 is none.

    Raises InvalidBody for the cursor.
    """
    position = _START if query.cursor is UNSET else Cursor.parse(query.cursor)
    span = _span(query.since, query.until)
    wanted = None if query.student_id is UNSET else query.student_id
    students = await connection.fetch(
        _SELECT_STUDENT_IDS, credential, *span, wanted, position.student, _MAX_STUDENTS + 1
    )
    excluded = None if query.excluded is UNSET else query.excluded
    items: list[KeyEvent] = []
    for student in students[:_MAX_STUDENTS]:
        if student["id"] != position.student:
            position = _START._replace(student=student["id"])
        rows = await connection.fetch(
            _select_events(),
            credential,
            *span,
            *position,
            excluded,
            query.limit - len(items),
            classes,
        )
        items += [KeyEvent(**row) for row in rows]
        if len(items) == query.limit:
            last = items[-1]
            after = Cursor(last.student_id, last.claimed_at, last.event_id)
            return KeyEventPage(items, str(after))
    rest = students[_MAX_STUDENTS:]
    return KeyEventPage(items, str(_START._replace(student=rest[0]["id"])) if rest else None)


async def students_of(
    connection: asyncpg.Connection, credential: str, query: KeyStudentsQuery
) -> Listing[KeyStudent]:
    """The students of a credential, such as `key 7`, by user_id."""
    span = _span(query.since, query.until)
    total = await connection.fetchval(_COUNT_STUDENTS, credential, *span)
    rows = await connection.fetch(_SELECT_STUDENTS, credential, *span, query.skip, query.limit)
    return Listing([KeyStudent(**row) for row in rows], total)


def _span(since: datetime | UnsetType, until: datetime | UnsetType) -> tuple[datetime, datetime]:
    return (
        _EPOCH if since is UNSET else in_utc(since),
        _END if until is UNSET else in_utc(until),
    )


@cache
def _select_events() -> str:
    tables = [
        _OF_TABLE.format(table=table.name, time=table.key[1], status=status)
        for table, status in (
            (CELL_EXECUTIONS, "e.status"),
            (NOTEBOOK_ACCESSES, "NULL"),
            (EVENTS_TABLE, "NULL"),
        )
    ]
    return _SELECT_EVENTS.format(tables=" UNION ALL ".join(tables))


_SELECT_STUDENT_IDS = """
    SELECT DISTINCT student_id AS id FROM credential_hours
    WHERE credential = $1 AND hour > $2::timestamptz - interval '1 hour' AND hour < $3
        AND ($4::bigint IS NULL OR student_id = $4) AND student_id >= $5
    ORDER BY student_id LIMIT $6
"""

_COUNT_STUDENTS = """
    SELECT count(DISTINCT student_id) FROM credential_hours
    WHERE credential = $1 AND hour > $2::timestamptz - interval '1 hour' AND hour < $3
"""

_SELECT_STUDENTS = """
    SELECT h.student_id, s.user_id, min(h.hour) AS first_hour, max(h.hour) AS last_hour
    FROM credential_hours AS h JOIN students AS s ON s.id = h.student_id
    WHERE credential = $1 AND hour > $2::timestamptz - interval '1 hour' AND hour < $3
    GROUP BY h.student_id, s.user_id ORDER BY s.user_id OFFSET $4 LIMIT $5
"""

# OFFSET 0 keeps each branch a look-up by the primary key, hour by hour.
_OF_TABLE = """
    SELECT e.received_at, e.{time} AS claimed_at, e.event_id, e.event_type, e.class_id,
        e.session_id, e.alias_id, e.cell_id, e.metadata->>'notebookPath' AS named_notebook,
        e.metadata->>'cellId' AS named_cell, {status} AS status, e.excluded
    FROM {table} AS e
    WHERE e.student_id = $4 AND e.{time} BETWEEN h.first_at AND h.last_at
        AND e.credential = $1 AND e.received_at >= h.since AND e.received_at < h.until
        AND ($7::text IS NULL OR e.excluded = $7)
        AND ($9::bigint[] IS NULL OR e.class_id = ANY ($9)) AND (e.{time}, e.event_id) > ($5, $6)
"""

_SELECT_EVENTS = """
    WITH hours AS MATERIALIZED (
        SELECT first_at, last_at,
            GREATEST(hour, $2) AS since, LEAST(hour + interval '1 hour', $3) AS until
        FROM credential_hours
        WHERE credential = $1 AND hour > $2::timestamptz - interval '1 hour' AND hour < $3
            AND student_id = $4
    ), page AS (
        SELECT e.* FROM hours AS h CROSS JOIN LATERAL ({tables} OFFSET 0) AS e
        ORDER BY e.claimed_at, e.event_id LIMIT $8
    )
    SELECT s.id AS student_id, s.user_id, p.received_at, p.claimed_at, p.event_id, p.event_type,
        NULLIF(p.class_id, 0) AS class_id, sessions.session_id,
        COALESCE(a.path, p.named_notebook) AS notebook_path,
        COALESCE(c.cell_id, p.named_cell) AS cell_id, p.status, p.excluded
    FROM page AS p JOIN students AS s ON s.id = $4
    LEFT JOIN sessions ON sessions.id = p.session_id
    LEFT JOIN notebook_aliases AS a ON a.id = p.alias_id
    LEFT JOIN cells AS c ON c.id = p.cell_id
    ORDER BY p.claimed_at, p.event_id
"""
