"""Connections to PostgreSQL, in pools."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, TypeAlias

import asyncpg

from monitor.database.errors import UNAVAILABLE_ERRORS, ConnectionCut, to_unavailable
from monitor.database.session import SESSION, check_session
from monitor.errors import Unavailable

Connection: TypeAlias = asyncpg.Connection

# For statements that join a few rows to tables by their keys, whatever the planner believes of the
# tables' sizes. Rows are then locked in the order of the few.
BY_KEYS = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}


async def open_pool(
    address: Mapping[str, Any],
    size: int,
    timeout: float,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> asyncpg.Pool:
    """A pool of at most `size` connections, made on demand, whose sessions have these `settings`.

    `timeout` (s) bounds connecting and each statement.
    """
    return await asyncpg.create_pool(
        **address,
        min_size=0,
        max_size=size,
        timeout=timeout,
        command_timeout=timeout,
        init=check_session,
        reset=_skip_reset,
        server_settings={**SESSION, **settings},
    )


async def open_single_use_pool(
    address: Mapping[str, Any], size: int, timeout: float
) -> asyncpg.Pool:
    """A pool for custom code: each connection is closed after one use, with all its state.

    No reset undoes everything: asyncpg's, for instance, keeps type codecs. `timeout` (s) bounds
    connecting and each statement.
    """
    return await asyncpg.create_pool(
        **address,
        min_size=0,
        max_size=size,
        max_queries=1,  # BEGIN is one already
        timeout=timeout,
        command_timeout=timeout,
        init=check_session,
        server_settings=SESSION,
    )


async def close_pool(pool: asyncpg.Pool, timeout: float) -> None:
    """Waits for connections in use, and terminates them after `timeout` (s)."""
    try:
        await asyncio.wait_for(pool.close(), timeout)
    except TimeoutError:
        pool.terminate()


@asynccontextmanager
async def cut_at(pool: asyncpg.Pool, deadline: float) -> AsyncIterator[asyncpg.Connection]:
    """Acquires a connection and terminates it at the deadline; a hung one can't roll back.

    `deadline` is a time of the event loop's clock; a pending statement then raises one of
    DATABASE_ERRORS.
    """
    loop = asyncio.get_running_loop()
    async with pool.acquire(timeout=max(0.05, deadline - loop.time())) as connection:
        cut = loop.call_at(deadline, connection.terminate)
        try:
            # asyncpg never wakes a COPY that waits for room in the socket of a lost connection.
            async with asyncio.timeout_at(deadline + _WAKING):
                yield connection
        except asyncpg.InternalClientError:
            connection.terminate()  # not back into the pool
            raise
        except Exception as error:
            if _is_closed(connection):
                raise ConnectionCut("The connection was closed") from error
            raise
        finally:
            cut.cancel()


_WAKING = 0.1  # seconds after the deadline; by then a pending statement has raised an error


def _is_closed(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


async def check_stores(pool: asyncpg.Pool) -> None:
    """Returns if a batch could be stored: its tables can be locked, and a transaction committed.

    Raises one of DATABASE_ERRORS if not, after 1 s at the latest.
    """
    deadline = asyncio.get_running_loop().time() + _CHECK_TIMEOUT
    async with cut_at(pool, deadline) as connection, connection.transaction():
        for statement in _CHECK:
            await connection.execute(statement)


_CHECK_TIMEOUT = 1.0  # seconds

_CHECK = (
    "SET LOCAL lock_timeout = '500ms'",
    """
    LOCK TABLE ONLY cell_executions, events, notebook_accesses, rejected_events, students,
        sessions, student_states, ledger IN ROW EXCLUSIVE MODE
    """,
    "SELECT pg_current_xact_id()",  # makes the commit wait for the disk
)


class Database:
    """A pool for the API's requests; separate, so that the pipeline never waits for it.

    `timeout` (s) bounds acquiring a connection and each statement. `pool` is None until it is open.
    """

    def __init__(self, address: Mapping[str, Any], size: int, timeout: float) -> None:
        self._address = address
        self._size = size
        self._timeout = timeout
        self.pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Makes the pool. It connects when it is used, so PostgreSQL may be unavailable now."""
        self.pool = await open_pool(self._address, self._size, self._timeout)

    async def close(self, timeout: float) -> None:
        """Waits for connections in use, and terminates them after `timeout` (s)."""
        if self.pool:
            await close_pool(self.pool, timeout)

    async def renew(self) -> None:
        """Expires all pooled connections: after a loss of the network they are dead."""
        if self.pool:
            await self.pool.expire_connections()

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A transaction on a connection of its own, committed at the end.

        With `snapshot` all its statements see the same state, that of the first one. Raises
        Unavailable when PostgreSQL can't do it now.
        """
        isolation = "repeatable_read" if snapshot else None
        async with self.connection() as connection, connection.transaction(isolation=isolation):
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """A read-only transaction whose statements all see the same state, that of the first one.

        No table is read whole where an index serves: a plan that was made for a small table, or by
        old statistics, would go on doing so for each row of another.

        Raises Unavailable when PostgreSQL can't do it now.
        """
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(_SNAPSHOT_SETTINGS)
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection on which each statement is a transaction of its own.

        Raises Unavailable when PostgreSQL can't do it now.
        """
        if self.pool is None:
            raise Unavailable("The server is starting")
        try:
            async with self.pool.acquire(timeout=self._timeout) as connection:
                yield connection
        except UNAVAILABLE_ERRORS as error:
            raise to_unavailable(error) from error


# Memory for sorting the cells of a large class that opened a notebook several times.
_SNAPSHOT_SETTINGS = """
    SELECT set_config('enable_seqscan', 'off', true), set_config('work_mem', '16MB', true)
"""


async def _skip_reset(connection: asyncpg.Connection) -> None:
    """Replaces the reset of asyncpg between uses: a round trip for each batch."""
