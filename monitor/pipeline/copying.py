"""Rows into their tables: by COPY, or by INSERT if some are there already."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import asyncpg

from monitor.database.columns import columns
from monitor.events.types import CELL_EXECUTIONS, Table
from monitor.pipeline.packing import HEADER, TRAILER, pack_executions
from monitor.pipeline.rows import PendingRow

_AT_ONCE = 512 * 1024  # bytes of rows in a message


class Copied(NamedTuple):
    """The rows of a batch that are in their tables now, and are its own.

    Those in `recommitted` were committed by an earlier attempt whose reply was lost.
    """

    new: list[PendingRow]
    recommitted: list[PendingRow]


def _by_table(pending: list[PendingRow]) -> Iterable[tuple[Table, list[PendingRow]]]:
    """The rows of each table. Tables, and the rows of each, are locked in one order everywhere."""
    rows: defaultdict[Table, list[PendingRow]] = defaultdict(list)
    for row in pending:
        rows[row.table].append(row)
    return sorted(rows.items(), key=lambda each: each[0].name)


async def copy(connection: asyncpg.Connection, pending: list[PendingRow]) -> None:
    """Raises UniqueViolationError if one of the rows is there already, or may be.

    Citus reports a duplicate as an internal error, in the language of its messages. `insert_new`
    finds out what is there, and raises whatever else is wrong.
    """
    try:
        for table, rows in _by_table(pending):
            if table is CELL_EXECUTIONS:
                await _copy_packed(connection, table, pack_executions(rows))
            else:
                records = sorted(row.values for row in rows)
                await connection.copy_records_to_table(
                    table.name, records=records, columns=table.columns
                )
    except asyncpg.InternalServerError as error:
        raise asyncpg.UniqueViolationError(str(error)) from error


async def _copy_packed(connection: asyncpg.Connection, table: Table, packed: list[bytes]) -> None:
    source: memoryview | AsyncIterator[bytes]
    if sum(map(len, packed)) <= _AT_ONCE:  # it costs 25 µs less than in parts
        source = memoryview(b"".join((HEADER, *packed, TRAILER)))
    else:
        source = _in_parts(packed)
    await connection.copy_to_table(
        table.name, source=source, columns=table.columns, format="binary"
    )


async def _in_parts(packed: list[bytes]) -> AsyncIterator[bytes]:
    part, size = [HEADER], 0
    for row in packed:
        part.append(row)
        size += len(row)
        if size > _AT_ONCE:
            yield b"".join(part)
            part, size = [], 0
    yield b"".join((*part, TRAILER))


async def insert_new(connection: asyncpg.Connection, pending: list[PendingRow]) -> Copied:
    """Inserts the rows that are not there yet: COPY has no ON CONFLICT."""
    inserted: set[tuple[object, ...]] = set()
    same_receipt: set[tuple[object, ...]] = set()
    for table, rows in _by_table(pending):
        names = _names(table)
        values = columns(sorted(row.values for row in rows), len(table.columns))
        new = await connection.fetch(_INSERT_NEW.format(**names), *values)
        inserted.update((table.name, *row) for row in new)
        if len(new) < len(rows):
            key_and_receipt = values[: len(table.key) + 1]
            same = await connection.fetch(_SELECT_SAME_RECEIPT.format(**names), *key_and_receipt)
            same_receipt.update((table.name, *row) for row in same)
    return Copied(
        [row for row in pending if row.key in inserted],
        [row for row in pending if row.key in same_receipt - inserted],
    )


def _names(table: Table) -> dict[str, str]:
    arrays = [f"${number}::{kind}[]" for number, kind in enumerate(table.types, 1)]
    return {
        "table": table.name,
        "columns": ", ".join(table.columns),
        "arrays": ", ".join(arrays),
        "receipts": ", ".join(arrays[: len(table.key) + 1]),
        "key": ", ".join(table.key),
        "key_of_t": ", ".join(f"t.{name}" for name in table.key),
        "key_of_s": ", ".join(f"s.{name}" for name in table.key),
    }


async def exclude_disputed(connection: asyncpg.Connection, rows: list[PendingRow]) -> None:
    """Marks the new rows of events that don't count; rare, so not worth a column of COPY."""
    for row in rows:
        if row.resolved.place.disputed:
            names = {"table": row.table.name, "time": row.table.key[1]}
            await connection.execute(_EXCLUDE.format(**names), *row.key[1:])


_EXCLUDE = """
    UPDATE {table} SET excluded = 'disputed'
    WHERE student_id = $1 AND {time} = $2 AND event_id = $3
"""

# The rows come as arrays, not through a staging table: Citus joins no temporary table to its own.
_INSERT_NEW = """
    INSERT INTO {table} ({columns})
    SELECT {columns} FROM unnest({arrays}) AS row ({columns}) ORDER BY {key}
    ON CONFLICT DO NOTHING RETURNING {key}
"""

_SELECT_SAME_RECEIPT = """
    SELECT {key} FROM unnest({receipts}) AS s ({key}, received_at)
    WHERE received_at = (SELECT received_at FROM {table} AS t WHERE ({key_of_t}) = ({key_of_s}))
"""
