"""A school's half year: `python -m bench.dataset EXECUTIONS DIRECTORY` makes a data directory.

200 students of one class, 50 notebooks of 40 cells, on each weekday of the last six months the
notebook of the day and some older ones. Counters, clustering and indexes are as the server would
have left them.
"""

import argparse
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop

from bench.workload import STUDENTS, student
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.migrations import migrate

NOTEBOOKS, CELLS = 50, 40
DAYS = 182
LESSONS = timedelta(hours=6)  # of a day
CLASS = 1  # its id: the first in the database
COUNTED = 10  # students in one transaction, as by `cell-monitor recount`
TIMEOUT = 7200.0  # seconds, of a statement
ERRORS = [
    "NameError: name 'score_{}' is not defined",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "SyntaxError: invalid syntax (<ipython-input-{}>, line 1)",
    "KeyError: '列{}'",
    "ValueError: could not convert string to float: '{}'",
]


async def fill_directory(directory: Path, executions: int) -> None:
    """Makes an empty directory the data directory of a server that has stored so many.

    root's PostgreSQL runs as another user, who has to pass through the directory.
    """
    with EmbeddedPostgres(directory / "postgres") as postgres:
        connection: asyncpg.Connection = await asyncpg.connect(
            host=postgres.host, port=postgres.port, user=postgres.user, database=postgres.database
        )
        try:
            await migrate(connection)
            await fill(connection, executions)
        finally:
            await connection.close()


async def fill(connection: asyncpg.Connection, executions: int, days_ago: int = DAYS) -> None:
    """Fills a database that has the schema and nothing else, from `days_ago` on."""
    await connection.execute(_SETTINGS)
    await connection.execute(_INSERT_SCHOOL, [student(n) for n in range(STUDENTS)])
    days = weekdays(days_ago)
    await connection.execute("SELECT ensure_partitions($1, $2)", days[0], days[-1] + LESSONS)
    school = School(connection, days, executions // len(days))
    month = days[-1].replace(day=1)
    over = [day for day in days if day < month]
    await connection.execute("UPDATE clustered SET day = $1, rebuilt_until = $2", days[0], month)
    # The server builds the indexes of a month anew when it is over. That of the running month has
    # grown with it.
    async with _built_afterwards(connection):
        for day in over:
            await school.add(day)
        await _cluster(connection, month)
    for day in days[len(over) :]:
        await school.add(day)
    await _cluster(connection, datetime.now(UTC) - timedelta(days=1))
    await connection.execute(_INSERT_SUBMISSIONS)
    await connection.execute("ANALYZE", timeout=TIMEOUT)
    for first in range(1, STUDENTS + 1, COUNTED):
        students = range(first, first + COUNTED)
        await connection.execute("SELECT recount_students($1)", students, timeout=TIMEOUT)
    await connection.execute("VACUUM (ANALYZE)", timeout=TIMEOUT)


def weekdays(days_ago: int = DAYS) -> list[datetime]:
    """The first hour of each, the last one being yesterday or the Friday before."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=number) for number in range(days_ago, 0, -1)]
    return [day for day in days if day.weekday() < 5]


class School:
    """What its students do on each of the days."""

    def __init__(
        self, connection: asyncpg.Connection, days: list[datetime], executions_a_day: int
    ) -> None:
        self._connection = connection
        self._days = days
        self._count = executions_a_day
        chance = random.Random(1)
        # A cell's code decides how long it takes, and the machine's mood a bit.
        self._usual = [chance.lognormvariate(4, 1.5) for _ in range(NOTEBOOKS * CELLS)]
        self._moods = [chance.lognormvariate(0, 0.5) for _ in range(4_001)]
        self._codes = [
            f"scores = load('{cell}')\nprint(scores.mean())\n" * 3 for cell in range(CELLS)
        ]
        self._outputs = [f"平均 {cell}.71  標準偏差 9.08\n" for cell in range(CELLS)]
        self._errors = [error.format(number) for error in ERRORS for number in range(9)]

    async def add(self, day: datetime) -> None:
        """Adds a day, once those before it are clustered and vacuumed as they would be by then."""
        notebook = self._days.index(day) * NOTEBOOKS // len(self._days)
        await _cluster(self._connection, day - timedelta(days=1))
        if day.weekday() == 0:  # as often as autovacuum would, with a fifth of a month moved
            await self._connection.execute("VACUUM cell_executions", timeout=TIMEOUT)
        await self._connection.execute(_INSERT_SESSIONS, day, day + LESSONS)
        await self._connection.execute(
            _INSERT_EXECUTIONS,
            *(day, LESSONS / self._count, self._count, notebook),
            *(self._usual, self._moods, self._codes, self._outputs, self._errors),
            timeout=TIMEOUT,
        )
        await self._connection.execute(_INSERT_ACCESSES, day, LESSONS, notebook)


@asynccontextmanager
async def _built_afterwards(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """The primary key of the executions: it is built faster from all of them."""
    key = await connection.fetchval(_SELECT_KEY)
    await connection.execute("ALTER TABLE cell_executions DROP CONSTRAINT cell_executions_pkey")
    yield
    await connection.execute(
        f"ALTER TABLE cell_executions ADD CONSTRAINT cell_executions_pkey {key}", timeout=TIMEOUT
    )


async def _cluster(connection: asyncpg.Connection, until: datetime) -> None:
    """Clusters finished days, as a server would; one may be doing the same."""
    while await connection.fetchval(_IS_TO_CLUSTER, until):
        await connection.execute("SELECT cluster_executions($1, 1000)", until, timeout=TIMEOUT)


_SETTINGS = """
    SET synchronous_commit = off;
    SET work_mem = '256MB';
    SET maintenance_work_mem = '512MB';
    SET jit = off;
    SELECT setseed(0.5);
"""

_SELECT_KEY = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'cell_executions'::regclass AND conname = 'cell_executions_pkey'
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

_INSERT_ACCESSES = f"""
    INSERT INTO notebook_accesses (
        student_id, accessed_at, event_id, received_at, event_type, alias_id, clock_offset,
        action, metadata, class_id, verified)
    SELECT who, at, gen_random_uuid(), at, type, $3::integer + 1, 0, action, '{{}}', {CLASS}, false
    FROM generate_series(1, {STUDENTS}) AS who, (VALUES
        ('notebook_opened', 'open', $1::timestamptz),
        ('notebook_saved', 'save', $1 + $2::interval / 2),
        ('notebook_closed', 'close', $1 + $2)
    ) AS kinds (type, action, at)
"""

# Runs are evenly spread over the day, each by any of the students. After half of their successes
# they go on to the next cell: how many runs they stay at one is drawn by the logarithm. Three of
# eight cells are hard for a student, who fails in four of ten runs there, and never in the others:
# else ten times the executions would be three times the students to name with an error.
_INSERT_EXECUTIONS = f"""
    WITH drawn AS MATERIALIZED (
        SELECT number, 1 + floor(random() * {STUDENTS})::bigint AS who,
            CASE WHEN random() < 0.8 THEN $4 ELSE floor(random() * ($4 + 1))::integer END
                AS notebook
        FROM generate_series(0, $3::integer - 1) AS number
    ), runs AS (
        SELECT *, row_number() OVER (PARTITION BY who ORDER BY number) AS nth FROM drawn
    ), students AS MATERIALIZED (
        SELECT who, floor(random() * {CELLS})::integer AS first, count(*) AS runs
        FROM drawn GROUP BY who
    ), visits AS (
        SELECT who, runs, visit, cell, (who + cell) % 8 < 3 AS hard
        FROM students, generate_series(0, runs / 2 + 60) AS visit,
            mod(first + visit, {CELLS}) AS cell
    ), stays AS MATERIALIZED (
        SELECT *, 1 + floor(ln(1 - random()) / ln(CASE WHEN hard THEN 0.7 ELSE 0.5 END::float8))
            AS length
        FROM visits
    ), reached AS (
        SELECT *, sum(length) OVER (PARTITION BY who ORDER BY visit) - length AS before FROM stays
    ), placed AS MATERIALIZED (
        SELECT who, (before + turn)::bigint AS nth, cell, hard AND turn < length AS may_fail
        FROM reached, unnest(array_fill(0, ARRAY[length::integer]))
            WITH ORDINALITY AS turns (zero, turn)
        WHERE before < runs
    ), done AS MATERIALIZED (
        SELECT who, number, notebook, cell, may_fail AND random() < 4 / 7.0::float8 AS failed,
            $1::timestamptz + number * $2::interval AS at
        FROM runs JOIN placed USING (who, nth)
    )
    INSERT INTO cell_executions (
        student_id, executed_at, event_id, received_at, event_type, alias_id, cell_id, cell_index,
        cell_type, clock_offset, execution_count, status, duration_ms, code, output, error,
        metadata, class_id, verified)
    SELECT who, at, gen_random_uuid(), at, 'cell_executed', notebook + 1,
        notebook * {CELLS} + cell + 1, cell, 'code', 0, number % 1000,
        CASE WHEN failed THEN 'error' ELSE 'success' END,
        ($5::float8[])[notebook * {CELLS} + cell + 1] * ($6::float8[])[number % 4001 + 1],
        ($7::text[])[cell + 1], CASE WHEN NOT failed THEN ($8::text[])[cell + 1] END,
        CASE WHEN failed THEN ($9::text[])[9 * (cell % {len(ERRORS)}) + number % 9 + 1] END,
        '{{}}', {CLASS}, false
    FROM done ORDER BY number
"""


async def main(executions: int, directory: Path) -> None:
    start = time.perf_counter()
    await fill_directory(directory, executions)
    print(f"{executions:,} executions in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.dataset", description=__doc__)
    parser.add_argument("executions", type=int)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    arguments.directory.mkdir(mode=0o711)  # for another user, too: see fill_directory
    uvloop.run(main(arguments.executions, arguments.directory))
