"""Resources: tables whose rows the API lists, reads, creates, changes and deletes.

Names in the SQL come from code only, values are parameters.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import asyncpg
import msgspec

from monitor.database.paging import Listing, Page
from monitor.errors import Conflict, Detail, InvalidBody, MonitorError, NotFound
from monitor.events.event import in_utc

T = TypeVar("T", bound=msgspec.Struct)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]

_PAGE = frozenset(Page.__struct_fields__)
_DEPENDENTS = {
    "class_assignments": "assignments: delete them first",
    "assignment_submissions": "submissions: delete them first",
}


class InUse(MonitorError):
    """Another row has this code, path or user_id already."""


class Unknown(InvalidBody):
    """A field refers to something that doesn't exist."""

    def __init__(self, field: str, value: object) -> None:
        noun = field.removesuffix("_id")
        super().__init__(Detail(("body", field), f"There is no {noun} {value}", "reference_error"))


class Invalid(InvalidBody):
    """A field has a value that is not possible."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(Detail(("body", field), reason, "value_error"))


class Fixed(Invalid):
    """A request changes a field that never changes."""

    def __init__(self, field: str) -> None:
        super().__init__(field, f"{field} can't be changed")


def values(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that were sent, including those that are null, by name."""
    return {
        name: in_utc(value) if isinstance(value, datetime) else value
        for name, value in msgspec.structs.asdict(body).items()
        if value is not msgspec.UNSET
    }


class Condition(NamedTuple):
    """A condition on rows. `{0}` in `sql` stands for the parameter whose value is `argument`."""

    sql: str
    argument: Any


class Resource(Generic[T]):
    """A table. `kind` has the columns to read; `joins` adds those of other tables.

    `protected` ends the sentence that a row with events is not deleted: "The class 7 has …".
    """

    def __init__(
        self,
        kind: type[T],
        table: str,
        noun: str,
        joins: str = "",
        protected: str = "events, and events are never deleted",
    ) -> None:
        self.kind = kind
        self.table = table
        self.noun = noun
        self._protected = protected
        self._columns = ", ".join(kind.__struct_fields__)
        self._joins = joins

    async def find(
        self, connection: asyncpg.Connection, page: Page, condition: Condition
    ) -> Listing[T]:
        """A page of the rows that meet the condition and have the values set in `page`, by id."""
        filters = {name: value for name, value in values(page).items() if name not in _PAGE}
        tests = [f"{name} = ${number}" for number, name in enumerate(filters, 1)]
        filters["condition"] = condition.argument
        where = " AND ".join([*tests, condition.sql.format(f"${len(filters)}")])
        parts = {"table": self.table, "joins": self._joins, "where": where}
        total = await connection.fetchval(_COUNT.format(**parts), *filters.values())
        query = _LIST.format(
            columns=self._columns, skip=len(filters) + 1, limit=len(filters) + 2, **parts
        )
        rows = await connection.fetch(query, *filters.values(), page.skip, page.limit)
        return Listing([self.kind(**row) for row in rows], total)

    async def get(self, connection: asyncpg.Connection, row_id: int) -> T:
        """Raises NotFound."""
        query = _GET.format(table=self.table, joins=self._joins, columns=self._columns)
        return self._shown(await connection.fetchrow(query, row_id), row_id)

    async def insert(self, connection: asyncpg.Connection, fields: Mapping[str, Any]) -> T:
        """A value that is a memoryview is text in UTF-8, too large to be copied into a string.

        Raises InUse, Unknown.
        """
        places = ", ".join(
            f"convert_from(${number}, 'UTF8')" if isinstance(value, memoryview) else f"${number}"
            for number, value in enumerate(fields.values(), 1)
        )
        insert = _INSERT.format(table=self.table, columns=", ".join(fields), places=places)
        return self._shown(await self._change(connection, insert, fields), 0)

    async def update(
        self, connection: asyncpg.Connection, row_id: int, fields: Mapping[str, Any]
    ) -> T:
        """Raises NotFound, InUse, Unknown."""
        if not fields:
            return await self.get(connection, row_id)
        changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(fields, 1))
        update = _UPDATE.format(table=self.table, changes=changes, id=len(fields) + 1)
        return self._shown(await self._change(connection, update, fields, row_id), row_id)

    async def delete(self, connection: asyncpg.Connection, row_id: int) -> T:
        """Raises NotFound, and Conflict when other rows refer to it and are not deleted with it."""
        try:
            row = await self._run(connection, _DELETE.format(table=self.table), row_id)
        except asyncpg.ForeignKeyViolationError as error:
            # The error of the trigger that protects events names no table.
            what = _DEPENDENTS.get(_unsharded(error.table_name), self._protected)
            raise Conflict(f"The {self.noun} {row_id} has {what}") from None
        return self._shown(row, row_id)

    async def _change(
        self, connection: asyncpg.Connection, statement: str, fields: Mapping[str, Any], *more: Any
    ) -> asyncpg.Record | None:
        try:
            return await self._run(connection, statement, *fields.values(), *more)
        except asyncpg.UniqueViolationError as error:
            field = self._field(error, "key")
            raise InUse(f"Another {self.noun} has this {field} already") from None
        except asyncpg.ForeignKeyViolationError as error:
            field = self._field(error, "fkey")
            raise Unknown(field, fields[field]) from None

    def _field(self, error: asyncpg.PostgresError, kind: str) -> str:
        """The column of a constraint, from the name that PostgreSQL gives it by default."""
        name = _unsharded(error.constraint_name)
        return name.removeprefix(f"{self.table}_").removesuffix(f"_{kind}")

    async def _run(
        self, connection: asyncpg.Connection, statement: str, *arguments: Any
    ) -> asyncpg.Record | None:
        query = _CHANGE.format(statement=statement, columns=self._columns, joins=self._joins)
        return await connection.fetchrow(query, *arguments)

    def _shown(self, row: asyncpg.Record | None, row_id: int) -> T:
        if row is None:
            raise NotFound(f"There is no {self.noun} {row_id}")
        return self.kind(**row)


def _unsharded(name: str | None) -> str:
    """Citus adds the number of a shard to the names in errors."""
    return re.sub(r"_\d+$", "", name or "")


_COUNT = "SELECT count(*) FROM {table} {joins} WHERE {where}"

_LIST = """
    SELECT {columns} FROM {table} {joins} WHERE {where} ORDER BY id OFFSET ${skip} LIMIT ${limit}
"""

_GET = "SELECT {columns} FROM {table} {joins} WHERE id = $1"

_CHANGE = "WITH changed AS ({statement} RETURNING *) SELECT {columns} FROM changed {joins}"

_INSERT = "INSERT INTO {table} ({columns}) VALUES ({places})"

_UPDATE = "UPDATE {table} SET {changes} WHERE id = ${id}"

_DELETE = "DELETE FROM {table} WHERE id = $1"
