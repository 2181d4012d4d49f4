"""A class at a notebook whose cells have random ids, stored by the sink in few batches."""

import random
import uuid
from datetime import timedelta

import asyncpg

from monitor import Handlers
from monitor.events.event import Event, Source
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink
from tests.support.factories import deadline_soon, make_event, now

KEY = Source(credential="key 1", class_id=1)
_INSERT_CLASS = """
    WITH class AS (INSERT INTO classes (class_code, name) VALUES ('A', 'A') RETURNING id),
    students AS (
        INSERT INTO students (user_id) SELECT 's' || n FROM generate_series(1, $1::integer) AS n
        RETURNING id
    )
    INSERT INTO student_classes (student_id, class_id) SELECT students.id, class.id
    FROM students, class
"""


async def fill_class(pool: asyncpg.Pool, students: int, cells: int) -> None:
    """Class 1 of s1, s2, …, each of whom has run, and mostly failed in, each cell of a notebook."""
    await pool.execute(_INSERT_CLASS, students)
    await run_notebook(pool, [f"s{number}" for number in range(1, students + 1)], cells)


async def run_notebook(pool: asyncpg.Pool, students: list[str], cells: int) -> None:
    """Each of these students opens the notebook anew and runs it; all is counted."""
    replica = PostgresSink(
        pool, IdCache(1_000_000), uuid.uuid4(), has_influx=False, handlers=Handlers()
    )
    chance = random.Random(1)
    batch: list[Event] = []
    for student in students:
        batch += [_run(chance, student, position) for position in range(cells)]
        batch.append(make_event(student=student, source=KEY, type="help", cell=None))
        if len(batch) > 2_000:
            await replica.write(batch, deadline_soon(60.0))
            batch = []
    await replica.write(batch, deadline_soon(60.0))
    while await pool.fetchval("SELECT count_batches(100)", timeout=60):
        pass


def _run(chance: random.Random, student: str, position: int) -> Event:
    at = now() - timedelta(seconds=300 - position)
    return make_event(
        student=student,
        source=KEY,
        cell=str(uuid.uuid4()),
        cell_index=position,
        code=f"x = {position}" if chance.random() < 0.7 else f"x = {chance.random()}",
        failed=chance.random() < 0.6,
        error=f"KeyError: {position}",
        time=at,
        received_at=at,
    )
