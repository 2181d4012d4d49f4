"""Spans of what a call waits for at PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from monitor.database.pool import Database
from monitor.database.reads import Reads
from monitor.tracing import is_in_span, is_on, span


def trace_database(database: Database, reads: Reads) -> None:
    """Records spans of what calls do there; does nothing while tracing is off."""
    if not is_on():
        return
    connection, ensure_counted = database.connection, reads.ensure_counted

    @asynccontextmanager
    async def traced_connection() -> AsyncIterator[asyncpg.Connection]:
        if not is_in_span():
            async with connection() as acquired:
                yield acquired
            return
        with span("use PostgreSQL"):
            async with connection() as acquired:
                yield acquired

    async def traced_ensure_counted() -> None:
        with span("wait for the counters"):
            await ensure_counted()

    database.connection = traced_connection  # type: ignore[method-assign]
    reads.ensure_counted = traced_ensure_counted  # type: ignore[method-assign]
