"""Two classes, three students, a key; and what teachers and operators do to their rows."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from monitor.database.partitions import ensure_partitions, month_of
from monitor.database.pool import Database
from monitor.events.event import Event, Source
from monitor.lms import reassigning, withdrawals
from tests.model.plain import Row
from tests.support.factories import make_event, now

# In class a, in both, and in none.
STUDENTS = ("ann", "bob", "cyd")
MONTH = month_of(datetime.now(UTC) - timedelta(days=40))  # of old events
NEXT_MONTH = month_of(MONTH + timedelta(days=31))
_TABLES = ("cell_executions", "notebook_accesses", "events")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


async def found(connection: asyncpg.Connection) -> None:
    """Makes the classes a and b with their rosters, and the key of class a: each has the id 1."""
    await ensure_partitions(connection, [MONTH])
    await connection.execute(_FOUND)


def row(fields: dict[str, str], key: bool, age: str) -> Row:
    """A new event: an `old` one, one that is `untimed`, or one of now.

    Bob's has the class that it names, unless it is sent with the key.
    """
    event_id = uuid.uuid4()
    old = MONTH + timedelta(days=9, milliseconds=event_id.int % 1_000_000)
    time = {"old": old, "new": now(), "untimed": None}[age]
    key = key and fields["student"] != "cyd"
    class_code = {"ann": "a", "bob": "a" if key else fields["class_code"], "cyd": ""}
    row = msgspec.convert({**fields, "id": event_id, "time": time, "key": key}, Row)
    return replace(row, class_code=class_code[row.student])


def event(row: Row) -> Event:
    """The event as it is received now."""
    received_at = now()
    return make_event(
        id=row.id,
        type=row.type,
        time=row.time or received_at,
        untimed=row.time is None,
        received_at=received_at,
        student=row.student,
        session=row.session,
        notebook=row.notebook,
        cell=row.cell,
        failed=row.type == "cell_error",
        class_code=row.class_code if row.student == "bob" and not row.key else None,
        source=Source("key 1", 1) if row.key else Source(),
    )


async def withdraw(database: Database) -> None:
    """Asks that what was sent with the key is withdrawn."""
    request = withdrawals.WithdrawalRequest(_EARLIEST)
    async with database.transaction() as connection:
        await withdrawals.of_key(connection, 1, request, only_class=False, by="a teacher")


async def restore(database: Database) -> None:
    """Asks that everything withdrawn is replayed."""
    async with database.transaction() as connection:
        for record in await connection.fetch("SELECT id FROM withdrawals ORDER BY id"):
            await withdrawals.replay(connection, record["id"])


async def steps_left(database: Database) -> int:
    """How many students' rows are still to be withdrawn or replayed."""
    async with database.connection() as connection:
        left: int = await connection.fetchval("SELECT count(*) FROM withdrawal_steps")
        return left


async def assign(database: Database, student: str, from_class: str, to_class: str) -> None:
    """Moves what a student did in a class, or in none, to another class."""
    async with database.connection() as connection:
        classes = dict(await connection.fetch("SELECT class_code, id FROM classes"))
        body = reassigning.Reassignment(
            user_id=student, since=_EARLIEST, from_class_id=classes.get(from_class)
        )
        move = await reassigning.check(connection, classes[to_class], body)
        while await reassigning.move_some(connection, move):
            pass


async def detach(connection: asyncpg.Connection) -> None:
    """Archives the month of the old events."""
    for table in _TABLES:
        await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_{MONTH:%Y_%m}")


async def attach(connection: asyncpg.Connection) -> None:
    """Brings that month back."""
    for table in _TABLES:
        await connection.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_{MONTH:%Y_%m}"
            f" FOR VALUES FROM ('{MONTH}') TO ('{NEXT_MONTH}')"
        )


_FOUND = """
    INSERT INTO classes (class_code, name) VALUES ('a', 'A'), ('b', 'B');
    INSERT INTO students (user_id) VALUES ('ann'), ('bob');
    INSERT INTO student_classes (student_id, class_id)
    SELECT students.id, classes.id FROM students, classes
    WHERE user_id = 'bob' OR class_code = 'a';
    INSERT INTO ingest_keys (class_id, name, sha256, created_by) VALUES (1, 'K', 'k', 'root');
"""
