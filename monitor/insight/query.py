"""Shared by the class analytics: query parameters, pages by time, and look-ups of ids."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, Literal, NamedTuple, TypeVar

import msgspec

from monitor.database.paging import Limit
from monitor.database.pool import Connection
from monitor.errors import Detail, InvalidBody, NotFound
from monitor.events.event import NO_CLASS, in_utc

T = TypeVar("T")

# A class, and after it those whose rows its views add: 0 on an open server. See `shown_classes`.
ClassIds = list[int]

_EPOCH = datetime.fromtimestamp(0, UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_LOWEST_ID = uuid.UUID(int=0)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """`format`: `json`, or `csv` for spreadsheets."""

    format: Literal["json", "csv"] = "json"


class PageCursor(NamedTuple):
    """A position in a student's history: the rows after it are older."""

    time: datetime
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{(self.time - _EPOCH) // timedelta(microseconds=1)}.{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> "PageCursor":
        """Raises InvalidBody."""
        time, _, key = text.partition(".")
        try:
            return cls(_EPOCH + timedelta(microseconds=int(time)), uuid.UUID(hex=key))
        except (ValueError, OverflowError):
            detail = Detail(("query", "cursor"), "Not the `next` of a page", "value_error")
            raise InvalidBody(detail) from None


class PageQuery(Query, frozen=True, kw_only=True):
    """Rows from `since` (included) to `until` (excluded), newest first, `limit` at most.

    `cursor` is the `next` of the page before. A time without a zone is UTC.
    """

    since: datetime | msgspec.UnsetType = msgspec.UNSET
    until: datetime | msgspec.UnsetType = msgspec.UNSET
    cursor: Annotated[str, msgspec.Meta(max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    limit: Limit = 100

    def lower_bound(self) -> datetime:
        """The earliest time of a row, included."""
        return _EPOCH if self.since is msgspec.UNSET else in_utc(self.since)

    def upper_bound(self) -> PageCursor:
        """The position before which all rows of this page are. Raises InvalidBody."""
        until = _END if self.until is msgspec.UNSET else in_utc(self.until)
        bound = PageCursor(until, _LOWEST_ID)
        return bound if self.cursor is msgspec.UNSET else min(bound, PageCursor.parse(self.cursor))


class CursorPage(msgspec.Struct, Generic[T]):
    """Items, newest first, and the cursor of the next page; null if this is the last one.

    With filters a page may be short, or even empty, and still have a next one.
    """

    items: list[T]
    next: str | None


def full_page(
    items: list[T], query: PageQuery, cursor_of: Callable[[T], PageCursor]
) -> CursorPage[T]:
    """The items as a page; it has a next one if it is full."""
    is_full = len(items) == query.limit
    return CursorPage(items, str(cursor_of(items[-1])) if is_full else None)


async def check_student(connection: Connection, student_id: int) -> None:
    """Raises NotFound."""
    if not await connection.fetchval("SELECT true FROM students WHERE id = $1", student_id):
        raise NotFound(f"There is no student {student_id}")


def shown_classes(class_id: int, *, is_open: bool) -> ClassIds:
    """The classes that a class's views show: on an open server also what was done in none."""
    return [class_id, NO_CLASS] if is_open else [class_id]


async def class_students(connection: Connection, class_ids: ClassIds) -> dict[int, str]:
    """The user_id of each student of the first of these classes by id, ordered by user_id.

    Only those on its roster as students now. Raises NotFound.
    """
    rows = await connection.fetch(_SELECT_STUDENTS, class_ids[0])
    if not rows:
        raise NotFound(f"There is no class {class_ids[0]}")
    return {row["id"]: row["user_id"] for row in rows if row["id"] is not None}


class Notebook(NamedTuple):
    """A notebook in a class. `alias_ids` are those of all paths that count for it in the class."""

    id: int
    path: str
    alias_ids: list[int]


async def class_notebook(connection: Connection, class_ids: ClassIds, notebook_id: int) -> Notebook:
    """The notebook, or the one that it counts for.

    Raises NotFound unless the notebook belongs to the class or is handed out in it.
    """
    row = await connection.fetchrow(_SELECT_NOTEBOOK, class_ids, notebook_id)
    if row is None:
        raise NotFound(f"There is no notebook {notebook_id} in the class {class_ids[0]}")
    alias_ids = await alias_ids_of(connection, class_ids, [row["id"]])
    return Notebook(row["id"], row["path"], alias_ids[row["id"]])


async def alias_ids_of(
    connection: Connection, class_ids: ClassIds, notebook_ids: list[int]
) -> dict[int, list[int]]:
    """The aliases of all paths that count for each of these notebooks in the class."""
    rows = await connection.fetch(_SELECT_ALIASES, class_ids, notebook_ids)
    return {row["id"]: row["alias_ids"] for row in rows}


# A class without students is one row of NULLs, an unknown class no row.
_SELECT_STUDENTS = """
    SELECT s.id, s.user_id FROM classes AS c
    LEFT JOIN student_classes AS m ON m.class_id = c.id AND m.role = 'student'
    LEFT JOIN students AS s ON s.id = m.student_id
    WHERE c.id = $1 ORDER BY s.user_id
"""

_SELECT_NOTEBOOK = """
    SELECT id, path FROM notebooks WHERE id = (
        SELECT COALESCE(copy.counts_for, n.id)
        FROM notebooks AS n
        LEFT JOIN notebook_copies($1::bigint[], ARRAY[$2::bigint]) AS copy
            ON copy.notebook_id = n.id
        WHERE n.id = $2 AND (n.class_id = ANY ($1) OR EXISTS (
            SELECT FROM class_assignments WHERE class_id = ($1)[1] AND notebook_id = n.id
        ))
    )
"""

_SELECT_ALIASES = """
    SELECT wanted.id, ARRAY(
        SELECT a.id FROM unnest(notebooks_counting_for($1::bigint[], wanted.id)) AS n (id)
        CROSS JOIN LATERAL (
            SELECT id FROM notebook_aliases WHERE notebook_id = n.id OFFSET 0
        ) AS a
    ) AS alias_ids
    FROM unnest($2::bigint[]) AS wanted (id)
"""
