"""Executions as COPY reads them: packed here, they are stored as asyncpg would store them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from monitor.events.types import CELL_EXECUTIONS, EXECUTIONS, FAILURES
from monitor.pipeline.class_choice import Place
from monitor.pipeline.copying import copy
from monitor.pipeline.packing import _by_column, pack_executions
from monitor.pipeline.resolving import Resolved
from monitor.pipeline.rows import PendingRow, pending_row
from tests.support.factories import make_event

NOW = datetime(2026, 11, 27, 1, 2, 3, 456789, UTC)
COLUMNS = ", ".join(
    f"{name} {kind}"
    for name, kind in zip(CELL_EXECUTIONS.columns, CELL_EXECUTIONS.types, strict=True)
)


@pytest.fixture
async def table(pool: asyncpg.Pool) -> Any:
    """A connection with a table of that name and nothing but its columns."""
    async with pool.acquire() as connection:
        await connection.execute(f"CREATE TEMPORARY TABLE cell_executions ({COLUMNS})")
        yield connection


def row(number: int = 1, place: dict[str, Any] | None = None, **fields: Any) -> PendingRow:
    event = make_event(
        **{
            "id": UUID(int=number),
            "time": NOW + timedelta(microseconds=number),
            "received_at": NOW,
            "execution_count": 3,
            "duration_ms": 12.5,
        }
        | fields
    )
    ids: dict[str, Any] = {"session": 5, "alias": 6, "cell": 7, "clock_offset": 0} | (place or {})
    columns = ids.pop("columns", (0, None, False))
    return pending_row(number, event, Resolved(Place(2**40, 0, columns=columns), at=NOW, **ids))


ROWS = {
    "usual": row(),
    "unicode": row(
        code="print('花子 🌸')", output="é\t\r\n\\.", error="錯誤", metadata='{"a": "花"}'
    ),
    "without texts": row(code=None, output=None, error=None, cell_type=None, failed=True),
    "empty texts": row(code="", output="", error="", cell_type=""),
    "greatest": row(
        id=UUID(int=2**128 - 1),
        execution_count=2**31 - 1,
        cell_index=2**31 - 1,
        duration_ms=1.7e308,
        time=datetime.max.replace(tzinfo=UTC),
    ),
    "least": row(execution_count=-(2**31), cell_index=-1, duration_ms=-0.0, type="cell_error"),
    "before 2000": row(time=datetime(1985, 1, 1, tzinfo=UTC)),
    "in a class": row(place={"columns": (2**40, "key 花", True), "clock_offset": -(2**62)}),
    "infinite": row(duration_ms=float("inf")),
}
OTHERS = {
    "session": row(place={"session": None}),
    "alias": row(notebook=None, cell=None, place={"alias": None, "cell": None}),
    "cell": row(notebook=None, cell=None, place={"cell": None}),
    "cell index": row(cell_index=None),
    "execution count": row(execution_count=None),
    "duration": row(duration_ms=None),
}


@pytest.mark.parametrize("name", ROWS | OTHERS)
async def test_a_row_is_stored_as_it_is(table: asyncpg.Connection, name: str) -> None:
    pending = (ROWS | OTHERS)[name]
    await copy(table, [pending])
    assert [tuple(each) for each in await table.fetch("TABLE cell_executions")] == [pending.values]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_the_same_column_by_column(name: str) -> None:
    (packed,) = pack_executions([ROWS[name]])
    assert packed == b"".join(_by_column(ROWS[name].values))


async def test_rows_of_many_messages_are_stored(table: asyncpg.Connection) -> None:
    rows = [row(number, output="x" * 100_000) for number in range(1, 31)]
    await copy(table, rows)
    stored = await table.fetch("TABLE cell_executions")
    assert [tuple(each) for each in stored] == [each.values for each in rows]


@pytest.mark.parametrize("kind", sorted(EXECUTIONS | FAILURES))
@pytest.mark.parametrize("cell_type", ["code", "markdown", None])
async def test_each_type_has_its_status(
    table: asyncpg.Connection, kind: str, cell_type: str | None
) -> None:
    pending = row(type=kind, cell_type=cell_type)
    await copy(table, [pending])
    assert tuple(await table.fetchrow("TABLE cell_executions")) == pending.values


async def test_rows_are_stored_in_the_order_of_their_keys(
    table: asyncpg.Connection,
) -> None:
    rows = [row(number, duration_ms=None if number % 3 else 1.0) for number in range(900, 0, -1)]
    await copy(table, rows)
    stored = await table.fetch("SELECT event_id FROM cell_executions")
    assert [each["event_id"].int for each in stored] == list(range(1, 901))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"code": "a\0b"}, asyncpg.CharacterNotInRepertoireError),
        ({"code": "\ud83d"}, UnicodeEncodeError),
        ({"metadata": "{"}, asyncpg.InvalidTextRepresentationError),
        ({"execution_count": 2**31}, OverflowError),
    ],
)
async def test_what_postgresql_does_not_take_is_the_rows_fault(
    table: asyncpg.Connection, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await copy(table, [row(**fields)])
