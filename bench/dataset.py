"""A school's half year: `python -m bench.dataset EXECUTIONS DSN` fills an empty database with it.

200 students of one class, 50 notebooks of 40 cells, on each weekday of the last six months the
notebook of the day and some older ones. Counters and clustering are as the server would have left
them.
"""

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import uvloop
from asyncpg.pgproto.pgproto import UUID

from bench.workload import STUDENTS, student
from monitor.database.migrations import migrate
from monitor.events.types import CELL_EXECUTIONS, NOTEBOOK_ACCESSES

NOTEBOOKS, CELLS = 50, 40
DAYS = 182
LESSONS = timedelta(hours=6)  # of a day
BATCH = 20_000  # rows of one transaction
CLASS = 1  # its id: the first in the database
ERRORS = [
    "NameError: name 'score_{}' is not defined",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "SyntaxError: invalid syntax (<ipython-input-{}>, line 1)",
    "KeyError: '列{}'",
    "ValueError: could not convert string to float: '{}'",
]

Row = tuple[Any, ...]


async def fill(connection: asyncpg.Connection, executions: int, days_ago: int = DAYS) -> None:
    """Fills a database that has the schema and nothing else, from `days_ago` on."""
    await connection.execute(_INSERT_SCHOOL, [student(n) for n in range(STUDENTS)])
    days = weekdays(days_ago)
    await connection.execute("SELECT ensure_partitions($1, $2)", days[0], days[-1] + LESSONS)
    await connection.execute("UPDATE clustered SET day = $1", days[0])
    school = School(executions // len(days))
    for number, day in enumerate(days):
        await _cluster(connection, day - timedelta(days=1))
        if day.weekday() == 0:  # as often as autovacuum would, with a fifth of a month moved
            await connection.execute("VACUUM cell_executions", timeout=600)
        await connection.execute(_INSERT_SESSIONS, day, day + LESSONS)
        batch: list[Row] = []
        for row in school.day(day, number * NOTEBOOKS // len(days)):
            batch.append(row)
            if len(batch) == BATCH:
                await _store(connection, batch)
                batch = []
        await _store(connection, batch)
        await _open(connection, day, number * NOTEBOOKS // len(days))
        while await connection.fetchval("SELECT count_batches(50)", timeout=600):
            pass
    await _cluster(connection, datetime.now(UTC) - timedelta(days=1))
    await connection.execute(_INSERT_STATES, timeout=600)
    await connection.execute(_INSERT_SUBMISSIONS)
    await connection.execute("VACUUM (ANALYZE)", timeout=1200)


def weekdays(days_ago: int = DAYS) -> list[datetime]:
    """The first hour of each, the last one being yesterday or the Friday before."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=number) for number in range(days_ago, 0, -1)]
    return [day for day in days if day.weekday() < 5]


class School:
    """Where each student is, and what they do next."""

    def __init__(self, executions_a_day: int) -> None:
        self._count = executions_a_day
        self._cells = [0] * (STUDENTS + 1)
        self._random = random.Random(1)
        # A cell's code decides how long it takes, and the machine's mood a bit.
        self._usual = [self._random.lognormvariate(4, 1.5) for _ in range(NOTEBOOKS * CELLS)]
        self._moods = [self._random.lognormvariate(0, 0.5) for _ in range(4_001)]
        self._codes = [
            f"scores = load('{cell}')\nprint(scores.mean())\n" * 3 for cell in range(CELLS)
        ]
        self._outputs = [f"平均 {cell}.71  標準偏差 9.08\n" for cell in range(CELLS)]

    @staticmethod
    def _stumbles(who: int, cell: int) -> bool:
        """Whether a cell is hard for a student, as three of eight are: others never fail in it.

        Else ten times the executions would be three times the students to name with an error.
        """
        return (who + cell) % 8 < 3

    def day(self, start: datetime, today: int) -> Iterator[Row]:
        pick, step = self._random.random, LESSONS / self._count
        for number in range(self._count):
            who = int(pick() * STUDENTS) + 1
            notebook = today if pick() < 0.8 else int(pick() * (today + 1))
            cell = self._cells[who]
            failed = self._stumbles(who, notebook * CELLS + cell) and pick() < 0.4
            if not failed and pick() < 0.5:
                self._cells[who] = (cell + 1) % CELLS
            at = start + step * number
            error = ERRORS[cell % len(ERRORS)].format(number % 9) if failed else None
            yield (
                who,
                at,
                UUID(self._random.randbytes(16)),
                at,
                "cell_executed",
                None,
                notebook + 1,
                notebook * CELLS + cell + 1,
                cell,
                "code",
                0,
                number % 1_000,
                "error" if failed else "success",
                self._usual[notebook * CELLS + cell] * self._moods[number % 4_001],
                self._codes[cell],
                None if failed else self._outputs[cell],
                error,
                "{}",
                CLASS,
                None,
                False,
            )


async def _store(connection: asyncpg.Connection, rows: list[Row]) -> None:
    spans: dict[int, tuple[datetime, datetime]] = {}
    for row in rows:
        spans[row[0]] = spans.get(row[0], (row[1],))[0], row[1]
    async with connection.transaction():
        await connection.copy_records_to_table(
            CELL_EXECUTIONS.name, records=rows, columns=CELL_EXECUTIONS.columns
        )
        await connection.execute(_MARK, list(spans), *zip(*spans.values(), strict=True))


async def _cluster(connection: asyncpg.Connection, until: datetime) -> None:
    """Clusters finished days, as a server would; one may be doing the same."""
    while await connection.fetchval(_IS_TO_CLUSTER, until):
        await connection.execute("SELECT cluster_executions($1, 100)", until, timeout=600)


async def _open(connection: asyncpg.Connection, day: datetime, notebook: int) -> None:
    rows = [
        (
            who,
            at,
            UUID(random.randbytes(16)),
            at,
            kind,
            None,
            notebook + 1,
            None,
            None,
            None,
            0,
            action,
            "{}",
            CLASS,
            None,
            False,
        )
        for who in range(1, STUDENTS + 1)
        for kind, action, at in (
            ("notebook_opened", "open", day),
            ("notebook_saved", "save", day + LESSONS / 2),
            ("notebook_closed", "close", day + LESSONS),
        )
    ]
    async with connection.transaction():
        await connection.copy_records_to_table(
            NOTEBOOK_ACCESSES.name, records=rows, columns=NOTEBOOK_ACCESSES.columns
        )
        students = range(1, STUDENTS + 1)
        ends = [day] * STUDENTS, [day + LESSONS] * STUDENTS
        await connection.execute(_MARK, students, *ends)


_MARK = """
    INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
    SELECT min(at), $1, $2, $3 FROM unnest($2::timestamptz[]) AS at
"""

_IS_TO_CLUSTER = "SELECT day + interval '24 hours' <= $1 FROM clustered"

_INSERT_SCHOOL = f"""
    WITH class AS (
        INSERT INTO classes (class_code, name, has_events) VALUES ('bench', 'Bench', true)
        RETURNING id
    ), students AS (
        INSERT INTO students (user_id, has_events)
        SELECT user_id, true
        FROM unnest($1::text[]) WITH ORDINALITY AS s (user_id, number) ORDER BY number
        RETURNING id
    ), notebooks AS (
        INSERT INTO notebooks (class_id, path, name, has_events)
        SELECT class.id, name, name, true
        FROM class, generate_series(0, {NOTEBOOKS - 1}) AS n, format('lesson-%s.ipynb', n) AS name
        ORDER BY n RETURNING id, class_id, path
    ), aliases AS (
        INSERT INTO notebook_aliases (class_id, path, notebook_id)
        SELECT class_id, path, id FROM notebooks ORDER BY id RETURNING id
    ), cells AS (
        INSERT INTO cells (alias_id, cell_id, type, position)
        SELECT aliases.id, format('c-%s', lpad(position::text, 2, '0')), 'code', position
        FROM aliases, generate_series(0, {CELLS - 1}) AS position
        ORDER BY aliases.id, position
    ), enrolled AS (
        INSERT INTO student_classes (student_id, class_id, name, team)
        SELECT students.id, class.id, '学生' || students.id, 'チーム' || students.id % 20
        FROM students, class
    )
    INSERT INTO class_assignments (class_id, notebook_id, title)
    SELECT class_id, id, '課題' FROM notebooks
"""

_INSERT_SESSIONS = """
    INSERT INTO sessions (student_id, session_id, start_time, last_start_time, end_time)
    SELECT id, gen_random_uuid(), $1, $1, $2 FROM students
"""

_INSERT_SUBMISSIONS = """
    INSERT INTO assignment_submissions (assignment_id, student_id, attempt, late)
    SELECT a.id, s.id, 1, false FROM class_assignments AS a, students AS s
"""

# As the batches would have left them. Nobody calls for help.
_INSERT_STATES = """
    WITH totals AS (
        SELECT student_id, count(*) AS executions, max(executed_at) AS last_at,
            count(*) FILTER (WHERE status = 'error') AS errors,
            max(executed_at) FILTER (WHERE status = 'success') AS last_success_at
        FROM cell_executions GROUP BY student_id
    ), heard AS (
        SELECT DISTINCT ON (student_id) student_id, class_id, accessed_at, alias_id
        FROM notebook_accesses ORDER BY student_id, accessed_at DESC
    )
    INSERT INTO student_states (
        student_id, class_id, executions, errors, last_received_at, last_success_at, error_times,
        alias_at, alias_id, cell_at, cell_id, cell_index
    )
    SELECT student_id, class_id, COALESCE(executions, 0), COALESCE(errors, 0),
        GREATEST(last_at, accessed_at), last_success_at, errors_since(last_success_at, ARRAY(
            SELECT executed_at FROM cell_executions AS e
            WHERE e.student_id = heard.student_id AND e.status = 'error'
                AND (last_success_at IS NULL OR e.executed_at > last_success_at)
        ), '{}'),
        GREATEST(last_at, accessed_at),
        CASE WHEN last_at >= accessed_at THEN latest.alias_id ELSE heard.alias_id END,
        last_at, latest.cell_id, latest.cell_index
    FROM heard LEFT JOIN totals USING (student_id) LEFT JOIN LATERAL (
        SELECT alias_id, cell_id, cell_index FROM cell_executions AS e
        WHERE e.student_id = heard.student_id AND e.executed_at = last_at
        ORDER BY cell_id DESC LIMIT 1
    ) AS latest ON true
"""


async def main(executions: int, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    start = time.perf_counter()
    await migrate(connection)
    await fill(connection, executions)
    print(f"{executions:,} executions in {time.perf_counter() - start:.0f} s")
    await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.dataset", description=__doc__)
    parser.add_argument("executions", type=int)
    parser.add_argument("dsn")
    arguments = parser.parse_args()
    uvloop.run(main(arguments.executions, arguments.dsn))
