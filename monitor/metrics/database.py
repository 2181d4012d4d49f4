"""Metrics that only PostgreSQL knows, of all replicas together: each of them shows the same."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric

from monitor.database.pool import Database
from monitor.metrics.families import gauge, gauges

_MAX_ROWS = 10_000  # of an outbox are counted: more are no better to know, and cost more

Row = Mapping[str, Any]


async def read_outboxes(database: Database) -> list[Row]:
    """How much work waits. Raises Unavailable, or one of DATABASE_ERRORS."""
    return await _fetch(database, _SELECT_OUTBOXES)


async def read_school(database: Database) -> list[Row]:
    """Who is active. Raises Unavailable, or one of DATABASE_ERRORS."""
    return await _fetch(database, _SELECT_SCHOOL)


def outbox_metrics(rows: list[Row]) -> Iterator[Metric]:
    """From the rows of `read_outboxes`."""
    yield gauges(
        "outbox_rows",
        f"Work that waits, by outbox; at most {_MAX_ROWS} rows are counted.",
        ("outbox",),
        {(row["outbox"],): row["rows"] for row in rows},
    )
    yield gauges(
        "outbox_age_seconds",
        "How long the oldest work waits, by outbox; 0 when none does.",
        ("outbox",),
        {(row["outbox"],): row["age"] for row in rows if row["age"] is not None},
    )
    yield from (
        gauge("counting_lag_seconds", "The age of the oldest batch not counted yet.", row["age"])
        for row in rows
        if row["outbox"] == "counts"
    )


def school_metrics(rows: list[Row]) -> Iterator[Metric]:
    """From the rows of `read_school`."""
    (row,) = rows
    yield gauge("classes", "Classes that have not ended.", row["classes"])
    yield gauges(
        "active_students",
        "Students of whom an event was received in the last 5 minutes, or in the last day.",
        ("window",),
        {("5m",): row["students_now"], ("1d",): row["students_day"]},
    )
    yield gauges(
        "active_classes",
        "Classes for which an event was received in the last 5 minutes, or in the last day.",
        ("window",),
        {("5m",): row["classes_now"], ("1d",): row["classes_day"]},
    )


async def _fetch(database: Database, query: str) -> list[Row]:
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = '1s'")
        return [dict(row) for row in await connection.fetch(query)]


def _waiting(outbox: str, age: str) -> str:
    """A row for a table of work; `age` is SQL for the age of its oldest row."""
    table = f"outbox_{outbox}"
    return f"""
        SELECT '{outbox}' AS outbox,
            (SELECT count(*) FROM (SELECT FROM {table} LIMIT {_MAX_ROWS}) AS first_rows) AS rows,
            {age} AS age
    """  # noqa: S608 - constants


def _age(table: str, column: str, key: str) -> str:
    return f"""COALESCE((
        SELECT GREATEST(0, extract(epoch FROM now() - {column}))::float8
        FROM {table} ORDER BY {key} LIMIT 1), 0)"""  # noqa: S608 - constants


_SELECT_OUTBOXES = " UNION ALL ".join(
    [
        _waiting("points", _age("outbox_points", "created_at", "id")),
        _waiting("handlers", _age("outbox_handlers", "received_at", "id")),
        _waiting("counts", _age("outbox_counts", "received_at", "batch")),
        _waiting("deletions", "NULL::float8"),
        _waiting("recounts", "NULL::float8"),
    ]
)

_SELECT_SCHOOL = """
    SELECT (SELECT count(*) FROM classes WHERE is_active) AS classes,
        count(DISTINCT student_id) FILTER (WHERE is_now) AS students_now,
        count(DISTINCT student_id) AS students_day,
        count(DISTINCT class_id) FILTER (WHERE is_now AND class_id <> 0) AS classes_now,
        count(DISTINCT class_id) FILTER (WHERE class_id <> 0) AS classes_day
    FROM (
        SELECT student_id, class_id, last_received_at > now() - interval '5 minutes' AS is_now
        FROM student_states WHERE last_received_at > now() - interval '1 day'
    ) AS active
"""
