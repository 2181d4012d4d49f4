"""How rows get into their tables: by COPY, and by a detour where some are there already."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import asyncpg
import msgspec

from monitor.events.event import Event
from monitor.events.types import Table
from monitor.pipeline.id_cache import ResolvedIds
from monitor.pipeline.rows import Row


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    event: Event
    place: ResolvedIds
    table: Table
    row: Row

    @property
    def key(self) -> tuple[object, ...]:
        return (self.table.name, *self.row[:3])


class Copied(NamedTuple):
    """The entries of a batch that are in their tables now."""

    new: list[PendingRow]
    before: list[PendingRow]  # this very receipt was committed by a try that didn't live to tell


def _by_table(entries: list[PendingRow]) -> Iterable[tuple[Table, list[Row]]]:
    """The rows for each table, both in an order that all writers share: none waits in a circle."""
    rows: defaultdict[Table, list[Row]] = defaultdict(list)
    for entry in entries:
        rows[entry.table].append(entry.row)
    for table in sorted(rows, key=lambda table: table.name):
        yield table, sorted(rows[table])


async def copy(connection: asyncpg.Connection, entries: list[PendingRow]) -> None:
    for table, rows in _by_table(entries):
        await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)


async def copy_new(connection: asyncpg.Connection, entries: list[PendingRow]) -> Copied:
    """Copies what is not there yet, by way of a staging table: COPY knows no ON CONFLICT."""
    inserted: set[tuple[object, ...]] = set()
    ours: set[tuple[object, ...]] = set()
    for table, rows in _by_table(entries):
        names = {
            "staging": f"staged_{table.name}",
            "table": table.name,
            "columns": ", ".join(table.columns),
            "key": ", ".join(table.key),
            "key_of_t": ", ".join(f"t.{name}" for name in table.key),
            "key_of_s": ", ".join(f"s.{name}" for name in table.key),
        }
        await connection.execute(_CREATE_STAGING.format(**names))
        await connection.copy_records_to_table(
            names["staging"], records=rows, columns=table.columns
        )
        new = await connection.fetch(_INSERT_STAGED.format(**names))
        inserted.update((table.name, *row) for row in new)
        if len(new) < len(rows):
            same = await connection.fetch(_SELECT_SAME_RECEIPT.format(**names))
            ours.update((table.name, *row) for row in same)
    return Copied(
        [entry for entry in entries if entry.key in inserted],
        [entry for entry in entries if entry.key in ours - inserted],
    )


_CREATE_STAGING = """
    CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS
"""

_INSERT_STAGED = """
    INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ORDER BY {key}
    ON CONFLICT DO NOTHING RETURNING {key}
"""

_SELECT_SAME_RECEIPT = """
    SELECT {key} FROM {staging} AS s
    WHERE received_at = (SELECT received_at FROM {table} AS t WHERE ({key_of_t}) = ({key_of_s}))
"""
