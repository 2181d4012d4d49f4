"""Carries out withdrawals, their replays and merges of students, in small steps.

Each step is a transaction, so a server that dies leaves the rest to the next one. One replica works
at a time.
"""

from contextlib import suppress
from typing import NamedTuple

import asyncpg

from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job, describe

_INTERVAL = 5.0  # seconds between looks for what other replicas have been asked for
_PAUSE = 0.02  # seconds between two steps: storing goes first
_ROWS = 1_000  # changed in one transaction
_TIMEOUT = 120.0  # seconds for one transaction: a student may have run a million cells


class _Step(NamedTuple):
    """A student whose rows are to be withdrawn or replayed, by the state of the withdrawal.

    Once the rows are done, the student is counted anew.
    """

    withdrawal_id: int
    student_id: int
    rows_done: bool
    state: str


class Withdrawing:
    """The background job; `has_influx`: points are deleted and written, too."""

    name = "withdrawing"

    def __init__(self, database: Database, has_influx: bool) -> None:
        self._database = database
        self._has_influx = has_influx
        self._job = Job("Withdrawing events", self._run, interval=_INTERVAL)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    def wake(self) -> None:
        """Looks for work now: something has been requested."""
        self._job.wake()

    async def _run(self) -> float:
        with schema_errors_as_unavailable():
            return _PAUSE if await self._work() else _INTERVAL

    async def _work(self) -> bool:
        """Takes one step; false where there is none, or another replica is working."""
        step: _Step | None = None
        try:
            async with self._database.transaction() as connection:
                if not await connection.fetchval(_LOCK):
                    return False
                if row := await connection.fetchrow(_NEXT_STEP):
                    step = _Step(*row)
                    await self._take(connection, step)
                    return True
                if row := await connection.fetchrow(_NEXT_MERGE):
                    await connection.execute(
                        _MERGE, *row, _ROWS, self._has_influx, timeout=_TIMEOUT
                    )
                    return True
                return False
        except (asyncpg.PostgresError, Unavailable) as error:
            if step:
                await self._note(step, error)
            raise

    async def _take(self, connection: asyncpg.Connection, step: _Step) -> None:
        """In transactions of their own: counting takes its locks in another order than rows do."""
        key = step.withdrawal_id, step.student_id
        if step.rows_done:
            await connection.execute(_FINISH, *key, timeout=_TIMEOUT)
            return
        query = _WITHDRAW if step.state == "withdrawing" else _RESTORE
        rows = await connection.fetchval(query, *key, _ROWS, self._has_influx, timeout=_TIMEOUT)
        if rows < _ROWS:
            await connection.execute(_ROWS_DONE, *key)

    async def _note(self, step: _Step, error: Exception) -> None:
        """Puts a step that failed behind the others, and says in the receipt why."""
        with suppress(Unavailable):  # PostgreSQL is away: then that is why
            async with self._database.transaction() as connection:
                await connection.execute(_NOTE_FAILURE, *step[:2])
                await connection.execute(_NOTE_PROBLEM, step.withdrawal_id, describe(error))


_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('cell-monitor withdrawals'))"

_NEXT_STEP = """
    SELECT s.withdrawal_id, s.student_id, s.rows_done, w.state
    FROM withdrawal_steps AS s JOIN withdrawals AS w ON w.id = s.withdrawal_id
    ORDER BY s.failures, s.withdrawal_id, s.student_id LIMIT 1
"""

# A replica that has the old id in memory may still store events under it: that makes a state again.
_NEXT_MERGE = """
    SELECT id, merged_into FROM students
    WHERE merged_into IS NOT NULL
        AND EXISTS (SELECT FROM student_states WHERE student_id = students.id)
    ORDER BY id LIMIT 1
"""

_MERGE = "SELECT merge_rows($1, $2, $3, $4)"

_WITHDRAW = "SELECT withdraw_rows($1, $2, $3, $4)"

_RESTORE = "SELECT restore_rows($1, $2, NULL, $3, $4)"

_ROWS_DONE = """
    UPDATE withdrawal_steps SET rows_done = true WHERE withdrawal_id = $1 AND student_id = $2
"""

_FINISH = "SELECT finish_withdrawal_step($1, $2)"

_NOTE_FAILURE = """
    UPDATE withdrawal_steps SET failures = failures + 1
    WHERE withdrawal_id = $1 AND student_id = $2
"""

_NOTE_PROBLEM = "UPDATE withdrawals SET problem = $2 WHERE id = $1"
