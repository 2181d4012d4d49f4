"""A school in a database, written to by the sink and read by the class analytics."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import asyncpg
import msgspec

from monitor import Handlers
from monitor.database.pool import Database
from monitor.database.reads import Reads
from monitor.events.event import Event, Source
from monitor.insight.attempts import CellAttempts, ReadAttempts
from monitor.insight.class_replay import class_state_at
from monitor.insight.class_state import ClassStateQuery, StudentState, class_state
from monitor.insight.run_changes import ReadRuns, RunChanges
from monitor.jobs.counting import Counting
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink, Stored
from monitor.workers.pool import Workers
from tests.support import factories
from tests.support.factories import deadline_soon, now
from tests.support.postgres import Address

T = TypeVar("T")

KEYS = {number: Source(credential=f"key {number}", class_id=number) for number in (1, 2)}


class School(NamedTuple):
    """A class `1` with two students and a teacher, a class `2` with one of them, an empty one.

    Events are posted with the key of class 1 unless they have another `source`.
    """

    pool: asyncpg.Pool
    sink: PostgresSink
    reads: Reads

    async def read(self, view: Callable[..., Awaitable[T]], *arguments: Any, **more: Any) -> T:
        await self.reads.ensure_counted()
        return await self.reads.read(lambda connection: view(connection, *arguments, **more))

    async def now(self, *class_ids: int) -> dict[str, StudentState]:
        classes = list(class_ids or [1])
        return by_user((await self.read(class_state, classes, ClassStateQuery())).items)

    async def then(self, at: datetime, *class_ids: int) -> dict[str, StudentState]:
        classes = list(class_ids or [1])
        return by_user((await self.read(class_state_at, classes, at, ClassStateQuery())).items)

    async def write(self, *events: Event) -> Stored:
        return await self.sink.write(list(events), deadline_soon())

    async def notebook(self, path: str, class_id: int = 1) -> int:
        query = "SELECT id FROM notebooks WHERE path = $1 AND class_id = $2"
        notebook_id: int = await self.pool.fetchval(query, path, class_id)
        return notebook_id


def by_user(states: list[StudentState]) -> dict[str, StudentState]:
    return {each.user_id: each for each in states}


def make_event(**fields: Any) -> Event:
    return factories.make_event(**{"source": KEYS[1]} | fields)


@asynccontextmanager
async def open_school(pool: asyncpg.Pool, postgres: Address) -> AsyncIterator[School]:
    """In a database that has the schema and nothing else."""
    await pool.execute(
        """
        INSERT INTO students (user_id) VALUES ('hanako'), ('taro'), ('sensei');
        INSERT INTO classes (class_code, name) VALUES ('A', 'A'), ('B', 'B'), ('empty', 'empty');
        INSERT INTO student_classes (student_id, class_id, role) VALUES
            (1, 1, 'student'), (2, 1, 'student'), (3, 1, 'teacher'), (1, 2, 'student');
        """
    )
    database = Database(postgres, 5, 5.0)
    await database.open()
    progress = Counting(database, lambda: False)
    await progress.start()
    yield School(
        pool,
        PostgresSink(pool, IdCache(1_000), uuid.uuid4(), has_influx=False, handlers=Handlers()),
        Reads(database, None, progress.catch_up),
    )
    await progress.stop(0)
    await database.close(5.0)


async def enrol(pool: asyncpg.Pool, students: list[str]) -> None:
    """Adds students of these names to class A."""
    await pool.execute(
        """WITH students AS (
               INSERT INTO students (user_id) SELECT unnest($1::text[]) RETURNING id
           ) INSERT INTO student_classes (student_id, class_id) SELECT id, 1 FROM students""",
        students,
    )


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


async def compared_attempts(read: ReadAttempts) -> CellAttempts:
    """A page of attempts with its lines."""
    return await _compared(read, CellAttempts)


async def compared_runs(read: ReadRuns) -> list[RunChanges]:
    """Runs with their lines."""
    return await _compared(read, list[RunChanges])


async def _compared(read: ReadAttempts | ReadRuns, kind: type[T]) -> T:
    workers = Workers()
    try:
        page = await read.compared(workers, "ann")
    finally:
        await workers.stop(0)
    return msgspec.json.decode(msgspec.json.encode(page), type=kind)
