"""Spans of what a call waits for at PostgreSQL.

What is traced is of a class of its own, made only where tracing is on when the server starts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from monitor.database.pool import Database
from monitor.database.reads import Reads
from monitor.tracing import is_in_span, is_on, span


def api_database(address: Mapping[str, Any], size: int, timeout: float) -> Database:
    """The API's pool, which records spans of its use by calls while tracing is on."""
    return (TracedDatabase if is_on() else Database)(address, size, timeout)


def api_reads(
    primary: Database, standby: Database | None, catch_up: Callable[[], Awaitable[None]]
) -> Reads:
    """The API's reads, which record spans of waiting for the counters while tracing is on."""
    return (TracedReads if is_on() else Reads)(primary, standby, catch_up)


class TracedDatabase(Database):
    """A connection in use is a span of the call."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        if not is_in_span():  # background work
            async with super().connection() as acquired:
                yield acquired
            return
        with span("use PostgreSQL"):
            async with super().connection() as acquired:
                yield acquired


class TracedReads(Reads):
    """Waiting for the counters is a span of the call."""

    async def ensure_counted(self) -> None:
        with span("wait for the counters"):
            await super().ensure_counted()
