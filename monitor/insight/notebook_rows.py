"""The rows of a class's notebook: what each person did in each cell, as it is counted.

A cell is its id, if two people used it. Other ids may be random: JupyterLab gives a notebook of a
format before 4.5 new ones each time it is opened. In a notebook that three students use, these
cells are placed by their index, so that a class has one cell where thirty laptops have thirty.
`votes` decides what the class agrees on, and `placing` puts a person's cells in place by that.

Nothing of it is stored, so a better rule also corrects what was done before it.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

import asyncpg
import msgspec

from monitor.database.pool import Connection
from monitor.pace import Pace

MAX_CELLS_OF_STUDENT = 2_000  # in a notebook: of the newest path, then the newest cells
MAX_CELLS = 1_000  # in one answer
ADDED, INDEX, NAMED = 0, 1, 2  # kinds of places, in their order at one index


class Cell(msgspec.Struct, gc=False, eq=False):
    """A person's cell: a row of cell_progress, its kinds of errors, and where it is.

    `kinds` are the errors and how often each was met, `durations` the packed counts as a number.
    The place is `kind` (ADDED, INDEX, NAMED), `key`, and `at`, the index that most have there; all
    are set by placing it.
    """

    student_id: int
    alias_id: int
    id: int
    executions: int
    errors: int
    first_error_at: datetime | None
    last_error_at: datetime | None
    first_success_at: datetime | None
    errors_before_success: int | None
    durations: int
    type: str | None
    index: int | None
    name_hash: int
    code_hash: int | None
    code_at: datetime | None
    last_at: datetime | None
    kinds: tuple[tuple[str, int], ...]
    is_student: bool = True
    kind: int = -1  # not placed yet
    key: int = 0
    at: int | None = None


_stored = attrgetter(*Cell.__struct_fields__[:-3])


def is_same(one: Cell, other: Cell) -> bool:
    """Whether both are made of the same row, wherever they are placed."""
    return bool(_stored(one) == _stored(other))


async def fetch_cells(
    connection: Connection, people: Sequence[int], alias_ids: Sequence[int], pace: Pace
) -> dict[int, list[Cell]]:
    """The cells of these people, by their ids, in a notebook with these aliases."""
    cells = defaultdict(list)
    for row in await connection.fetch(_SELECT, people, alias_ids):
        cells[row["student_id"]].append(_cell(row))
        if pace.is_due:
            await pace.rest()
    return cells


def _cell(row: asyncpg.Record) -> Cell:
    """Texts that many rows have are kept once."""
    *values, errors, counts = row
    values[_DURATIONS] = int(values[_DURATIONS])
    if values[_TYPE]:
        values[_TYPE] = sys.intern(values[_TYPE])
    kinds = tuple(zip(map(sys.intern, errors), counts, strict=True)) if errors else ()
    values.append(kinds)
    return Cell(*values)


_DURATIONS, _TYPE = map(Cell.__struct_fields__.index, ("durations", "type"))

# OFFSET 0 and LIMIT keep each part a look-up by a key, whatever the statistics say.
_SELECT = f"""
    SELECT p.*, e.errors, e.counts
    FROM unnest($1::bigint[]) AS person (id)
    CROSS JOIN LATERAL (
        SELECT student_id, alias_id, cell_id AS id, executions, errors, first_error_at,
            last_error_at, first_success_at, errors_before_success, durations::text AS durations,
            type, position AS index, name_hash, code_hash, code_at, last_at
        FROM cell_progress
        WHERE student_id = person.id AND alias_id = ANY ($2::bigint[])
        ORDER BY alias_id DESC, cell_id DESC LIMIT {MAX_CELLS_OF_STUDENT}
    ) AS p
    LEFT JOIN LATERAL (
        SELECT array_agg(error ORDER BY error) AS errors, array_agg(count ORDER BY error) AS counts
        FROM (
            SELECT error, count FROM cell_errors
            WHERE student_id = p.student_id AND alias_id = p.alias_id AND cell_id = p.id
                AND p.errors > 0 OFFSET 0
        ) AS met
    ) AS e ON true
"""  # noqa: S608 - constants
