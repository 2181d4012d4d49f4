"""Runs custom handlers from their outbox; neither answers nor other events wait for them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg
import tenacity

from monitor.database import dead_letters
from monitor.database.dead_letters import DeadLetters
from monitor.database.errors import DATABASE_ERRORS, UNAVAILABLE_ERRORS, to_unavailable
from monitor.database.outbox import HANDLERS
from monitor.database.pool import cut_at
from monitor.errors import HandlersError, Unavailable
from monitor.events.decoding import decode
from monitor.events.dialects import as_json
from monitor.events.event import Event, Rejected, Source
from monitor.health import ComponentHealth
from monitor.pipeline.handlers import Handler, Handlers, full_name
from monitor.tasks import Job, remaining

logger = logging.getLogger(__name__)

_RUN_TIMEOUT = 30.0  # seconds for one run of a handler
_END_TIMEOUT = 1.0  # seconds for a handler that is cancelled to end
_CONNECT_TIMEOUT = 10.0  # seconds for a connection to run it on, and to close that
_RETRY_INTERVAL = 2.0  # seconds, at most, between attempts while PostgreSQL is unavailable
_SWEEP_INTERVAL = 20.0  # seconds between looks for what other replicas have left

# asyncpg raises an InterfaceError where the handler itself has closed the connection.
_CONNECTION_LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)

with_retry = tenacity.AsyncRetrying(
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
    stop=tenacity.stop_after_attempt(4),  # once, and three times more
    reraise=True,
)


class _HandlerFailed(HandlersError):
    """Says what a handler raised, or did to its connection."""


class HandlerRunner:
    """Runs each handler of an event once, whichever replica does it, in a transaction of its own.

    `pool` is the server's own. Handlers get connections of `handler_pool`, each for one run only
    (see `open_single_use_pool`): what they change of the session ends with it.
    """

    name = "handlers"

    def __init__(
        self,
        handlers: Handlers,
        pool: asyncpg.Pool,
        handler_pool: asyncpg.Pool,
        letters: DeadLetters,
    ) -> None:
        self._handlers = handlers
        self._pool = pool
        self._handler_pool = handler_pool
        self._letters = letters
        self._job = Job(
            "Running custom handlers",
            self._run_pending,
            interval=_SWEEP_INTERVAL,
            max_backoff=_RETRY_INTERVAL,
            expected=(Unavailable, *DATABASE_ERRORS),
        )

    async def start(self) -> None:
        if self._handlers:
            self._job.start()

    async def stop(self, deadline: float) -> None:
        """Ends the task once the present handler has run, or at `deadline` (event loop's clock)."""
        await self._job.stop(remaining(deadline))

    async def health(self) -> ComponentHealth:
        """Whether handlers can be run; the failure of a handler becomes a dead letter instead."""
        return self._job.health() if self._handlers else ComponentHealth("off")

    def wake(self, events: Iterable[Event]) -> None:
        """Looks for work now, if there are handlers for one of these new events."""
        if any(self._handlers.of(event.type) for event in events):
            self._job.wake()

    async def replay(self, letter_id: int, name: str, event: Event) -> None:
        """Runs a handler once more; its transaction removes the dead letter.

        `name` is the handler's full name or, in letters of commit 7cae75c, the function's alone.
        Raises HandlersError when it isn't exactly one handler's or that fails, NotFound when the
        letter was removed meanwhile, and Unavailable.
        """
        named = {
            each
            for each in self._handlers.of(event.type)
            if name in (full_name(each), each.__name__)
        }
        if len(named) != 1:
            raise HandlersError(
                f"{len(named)} handlers for {event.type} are called {name}: HANDLERS must name"
                " one module that has it"
            )
        (handler,) = named
        try:
            async with self._connection() as connection, connection.transaction():
                await dead_letters.remove(connection, letter_id)
                await _call(handler, event, connection)
        except UNAVAILABLE_ERRORS as error:
            raise to_unavailable(error) from error
        except asyncpg.PostgresError as error:  # of the commit, such as a deferred constraint's
            raise _HandlerFailed(_describe(error)) from error

    async def _run_pending(self) -> None:
        """Runs all handlers that wait. One that can't be run now doesn't hold up the others."""
        last, postponed = 0, None
        while runs := await self._pool.fetch(_SELECT_RUNS, self._handlers.names, last):
            for run in runs:
                if self._job.stopping:
                    return
                last = run["id"]
                try:
                    await self._run(run)
                except (Unavailable, *UNAVAILABLE_ERRORS) as error:
                    await self._pool.fetchval("SELECT 1")  # in an outage they all have to wait
                    postponed = postponed or error
        if postponed:
            raise postponed

    async def _run(self, run: asyncpg.Record) -> None:
        handler, text = self._handlers.named(run["handler"]), run["event"]
        try:
            (event,) = decode(f"[{text}]".encode(), run["received_at"], 1).events
            event.class_id = run["class_id"] or 0
            await with_retry(self._attempt, run["id"], handler, event)
            logger.debug("The handler %s ran", run["handler"])
        except (Unavailable, *UNAVAILABLE_ERRORS):
            raise  # not the handler's fault: its row stays until PostgreSQL is back
        except Exception as error:
            logger.exception("The handler %s failed", run["handler"])
            reason = str(error) if isinstance(error, _HandlerFailed) else _describe(error)
            source = Source(class_id=run["class_id"] or None)
            letter = Rejected(0, run["handler"], reason, text, source=source)
            await self._give_up(run["id"], letter)

    async def _attempt(self, run_id: int, handler: Handler, event: Event) -> None:
        async with (
            self._connection() as connection,
            HANDLERS.claim(connection, "id = $2", run_id) as claimed,
        ):
            if claimed:  # otherwise another replica is running it, or has
                await _call(handler, event, connection)

    async def _give_up(self, run_id: int, letter: Rejected) -> None:
        """Replaces a run by a dead letter, unless another replica is running it, or has.

        Raises Unavailable.
        """
        deadline = asyncio.get_running_loop().time() + _RUN_TIMEOUT
        try:
            async with (
                cut_at(self._pool, deadline) as connection,
                HANDLERS.claim(connection, "id = $2", run_id) as claimed,
            ):
                if claimed:
                    await self._letters.insert(connection, "handler", [letter])
        except DATABASE_ERRORS as error:
            raise to_unavailable(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._handler_pool.acquire(timeout=_CONNECT_TIMEOUT) as connection:
                yield connection
        except asyncpg.InterfaceError as error:
            raise _first_error(error) or error from None


async def _call(handler: Handler, event: Event, connection: asyncpg.Connection) -> None:
    """Runs a handler in a task of its own, so that it can be left behind if it ignores its end.

    Raises _HandlerFailed, or Unavailable if PostgreSQL became unavailable meanwhile.
    """
    task = asyncio.create_task(_outcome(handler, event, connection))
    try:
        done, _ = await asyncio.wait([task], timeout=_RUN_TIMEOUT)
    finally:
        await _end(task, connection)
    if not done:
        raise _HandlerFailed(f"TimeoutError: it ran for more than {_RUN_TIMEOUT:g} s")
    await _check(connection, task.result())


async def _outcome(
    handler: Handler, event: Event, connection: asyncpg.Connection
) -> BaseException | None:
    """What the handler raised. As an error of the task, SystemExit would end the server."""
    try:
        await handler(event, connection)
    except BaseException as error:  # noqa: BLE001 - it fails the handler, and nothing else
        return error
    return None


async def _end(task: asyncio.Task[BaseException | None], connection: asyncpg.Connection) -> None:
    try:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_END_TIMEOUT)
    finally:
        if not task.done():
            connection.terminate()  # so that it can't write any more


async def _check(connection: asyncpg.Connection, error: BaseException | None) -> None:
    """Checks what a handler raised, and that its transaction can be committed.

    A COMMIT would not fail after an error that the handler suppressed: it would roll back.
    """
    try:
        await connection.execute("SELECT 1")
        if not connection.is_in_transaction():
            raise asyncpg.InterfaceError("the handler has ended its transaction itself")
    except DATABASE_ERRORS as failure:
        error = error or failure
        is_open = isinstance(failure, asyncpg.InFailedSQLTransactionError)
        if not is_open and isinstance(error, _CONNECTION_LOST):
            raise to_unavailable(error) from error
    if error:
        raise _HandlerFailed(_describe(error)) from error


def _first_error(error: BaseException | None) -> BaseException | None:
    """A handler's failure or this task's end, where not even a rollback was possible after it."""
    while error:
        if isinstance(error, _HandlerFailed | asyncio.CancelledError):
            return error
        error = error.__context__
    return None


def _describe(error: BaseException) -> str:
    """The error as PostgreSQL's text, which has neither NUL nor lone surrogates."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")
    return text.encode(errors="replace").decode()


async def queue_runs(
    connection: asyncpg.Connection, handlers: Handlers, events: Iterable[Event]
) -> None:
    """Inserts a row per handler to run, in the transaction that stores the events."""
    runs = [
        (full_name(handler), event.received_at, event.class_id, as_json(event))
        for event in events
        for handler in handlers.of(event.type)
    ]
    if runs:
        await connection.execute(_INSERT_RUNS, *zip(*runs, strict=True))


_INSERT_RUNS = """
    INSERT INTO outbox_handlers (handler, received_at, class_id, event)
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[])
"""

_SELECT_RUNS = """
    SELECT id, handler, received_at, class_id, event FROM outbox_handlers
    WHERE handler = ANY($1::text[]) AND id > $2 ORDER BY id LIMIT 100
"""
