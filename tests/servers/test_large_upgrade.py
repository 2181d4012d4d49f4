"""A database of before classes were kept is upgraded while it is read, to the same totals.

`make upgrade-large` does it with a million executions of 2,000 students; here there are fewer.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.support.earlier_school import LESSONS, RUNS, fill_earlier_school, totals
from tests.support.postgres import Address, fetch
from tests.support.schema import FILES, apply_by_psql, apply_by_server

logger = logging.getLogger(__name__)

STUDENTS = int(os.environ.get("UPGRADE_STUDENTS", "40"))
BETWEEN_READS = 0.02  # seconds

# What a class's teacher reads of it, and what both schemas have. The states moved in between.
READS = {
    "roster": """
        SELECT s.user_id, m.role FROM student_classes AS m JOIN students AS s ON s.id = m.student_id
        WHERE m.class_id = 3
    """,
    "timeline": """
        SELECT executed_at, status, code FROM cell_executions WHERE student_id = 7
        ORDER BY executed_at DESC LIMIT 50
    """,
    "activity": """
        SELECT a.start, sum(a.executions) FROM student_activity AS a
        JOIN student_classes AS m ON m.student_id = a.student_id
        WHERE m.class_id = 3 AND a.step = 3600 GROUP BY a.start
    """,
    "cells": """
        SELECT p.cell_id, sum(p.executions), sum(p.errors) FROM cell_progress AS p
        JOIN student_classes AS m ON m.student_id = p.student_id
        WHERE m.class_id = 3 GROUP BY p.cell_id
    """,
    "errors": """
        SELECT e.error, sum(e.count) FROM cell_errors AS e
        JOIN student_classes AS m ON m.student_id = e.student_id
        WHERE m.class_id = 3 GROUP BY e.error
    """,
    "help": "SELECT count(*) FROM events WHERE student_id = 7 AND event_type = 'help'",
    "accesses": "SELECT action, count(*) FROM notebook_accesses WHERE student_id = 7 GROUP BY 1",
    "grades": """
        SELECT a.title, s.grade FROM assignment_submissions AS s
        JOIN class_assignments AS a ON a.id = s.assignment_id WHERE a.class_id = 3
    """,
    "notebooks": "SELECT id, path FROM notebooks ORDER BY path LIMIT 100",
}


class Reader:
    """Reads all the time, each read on a connection of its own, and keeps how long they took."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = dict.fromkeys(READS, 0.0)  # seconds
        self.during: dict[str, str] = {}  # the file that was applied then
        self.reads = 0
        self.file = ""

    async def read(self, address: Address, name: str) -> None:
        connection = await asyncpg.connect(**address)
        try:
            while True:
                began, file = time.monotonic(), self.file
                assert await connection.fetch(READS[name])
                took = time.monotonic() - began
                if took > self.longest[name]:
                    self.longest[name], self.during[name] = took, file
                self.reads += 1
                await asyncio.sleep(BETWEEN_READS)
        finally:
            await connection.close()


@asynccontextmanager
async def reading(address: Address) -> AsyncIterator[Reader]:
    reader = Reader()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(address, name)) for name in READS]
        yield reader
        for task in tasks:
            task.cancel()


async def one_by_one(address: Address, reader: Reader) -> None:
    """By psql, and says how long each file took."""
    for path in FILES[2:]:
        reader.file, began = path.name, time.monotonic()
        await apply_by_psql(address, [path])
        logger.info("%-32s %6.1f s", path.name, time.monotonic() - began)


async def at_once(address: Address, reader: Reader) -> None:
    """By the server."""
    began = time.monotonic()
    await apply_by_server(address)
    logger.info("all files, by the server        %6.1f s", time.monotonic() - began)


@pytest.mark.parametrize("apply", [one_by_one, at_once])
async def test_a_school_is_upgraded_while_it_is_read(
    postgres: Address, apply: Callable[[Address, Reader], Awaitable[None]]
) -> None:
    await apply_by_psql(postgres, FILES[:2])
    await fill_earlier_school(postgres, STUDENTS)
    before = await totals(postgres)
    executions = sum(row["executions"] for row in before["classes"])
    assert executions == STUDENTS * LESSONS * RUNS
    async with reading(postgres) as reader:
        await apply(postgres, reader)
    for name, longest in reader.longest.items():
        logger.info("longest read of %-10s %6.2f s %s", name, longest, reader.during.get(name))
    logger.info("%d executions, %d reads meanwhile", executions, reader.reads)
    assert reader.reads > 0
    await compare(postgres, before)
    await recount(postgres)
    await compare(postgres, before)


async def compare(postgres: Address, before: dict[str, list[dict[str, Any]]]) -> None:
    after = await totals(postgres)
    for name, rows in before.items():
        assert len(after[name]) == len(rows), name
        different = [pair for pair in zip(rows, after[name], strict=True) if pair[0] != pair[1]]
        assert different[:3] == [], name


async def recount(postgres: Address) -> None:
    """What the migrations left to the server."""
    began = time.monotonic()
    due = "SELECT student_id FROM outbox_recounts ORDER BY 1 LIMIT 20"
    while students := [row["student_id"] for row in await fetch(postgres, due)]:
        await fetch(postgres, "SELECT recount_students($1)", students)
        await fetch(postgres, "DELETE FROM outbox_recounts WHERE student_id = ANY ($1)", students)
    logger.info("counting anew afterwards        %6.1f s", time.monotonic() - began)
