"""Rosters, written to a replica's database as they are there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.replicas import Replica


@asynccontextmanager
async def connected(replica: Replica) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the replica's database."""
    settings = replica.environment
    connection = await asyncpg.connect(
        host=settings["POSTGRES_SERVER"],
        port=int(settings["POSTGRES_PORT"]),
        user=settings["POSTGRES_USER"],
        password=settings["POSTGRES_PASSWORD"] or None,
        database=settings["POSTGRES_DB"],
    )
    try:
        yield connection
    finally:
        await connection.close()


async def enrol(
    connection: asyncpg.Connection, class_id: int, user_id: str, role: str = "student"
) -> None:
    await connection.execute(
        "INSERT INTO students (user_id) VALUES ($1) ON CONFLICT DO NOTHING", user_id
    )
    await connection.execute(
        """INSERT INTO student_classes (class_id, student_id, role)
        SELECT $1, id, $3 FROM students WHERE user_id = $2""",
        class_id,
        user_id,
        role,
    )
