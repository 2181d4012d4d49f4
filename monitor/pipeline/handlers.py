"""Handlers of custom types of event, registered from outside the package.

    from monitor.pipeline.handlers import Handlers

    handlers = Handlers()

    @handlers.on("quiz_answered")
    async def quiz_answered(event, connection): ...

A handler runs after its event has been committed, with a connection to PostgreSQL, in a
transaction of its own, which commits once, though the server may crash meanwhile; what it does
elsewhere it does twice then. What it raises is retried; if it still fails the event stays, and the
failure is recorded in `rejected_events`.
"""

import asyncio
import importlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import TypeVar

import asyncpg
import tenacity

from monitor.database.dead_letters import DeadLetters
from monitor.database.pool import DATABASE_ERRORS, UNAVAILABLE_ERRORS, to_unavailable
from monitor.errors import HandlersError, Unavailable
from monitor.events.decoding import decode
from monitor.events.dialects import as_json
from monitor.events.event import Event, Rejected
from monitor.tasks import cancel_and_wait

logger = logging.getLogger(__name__)

Handler = Callable[[Event, asyncpg.Connection], Awaitable[None]]
H = TypeVar("H", bound=Handler)

_TIMEOUT = 30.0  # seconds for one run of a handler
_PAUSE = 2.0  # seconds between tries while PostgreSQL is away
_SWEEP = 20.0  # seconds between looks for what others have left

with_retry = tenacity.AsyncRetrying(
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
    stop=tenacity.stop_after_attempt(4),  # once, and three times more
    reraise=True,
)


class _Failed(Exception):
    """A handler has; its error is the cause."""


class Handlers:
    """A registry: which coroutine functions to call for which types of event."""

    def __init__(self) -> None:
        self._by_type: defaultdict[str, list[Handler]] = defaultdict(list)

    def on(self, event_type: str) -> Callable[[H], H]:
        def register(handler: H) -> H:
            if any(known is not handler for known in self._named(full_name(handler))):
                raise HandlersError(f"Two handlers are called {full_name(handler)}: rename one")
            self._by_type[event_type].append(handler)
            return handler

        return register

    def update(self, other: "Handlers") -> None:
        for event_type, handlers in other._by_type.items():
            self._by_type[event_type] += handlers

    def __bool__(self) -> bool:
        return bool(self._by_type)

    def of(self, event_type: str) -> Sequence[Handler]:
        return self._by_type.get(event_type, ())

    @property
    def names(self) -> list[str]:
        return [full_name(handler) for handlers in self._by_type.values() for handler in handlers]

    def named(self, name: str) -> Handler:
        return next(self._named(name))

    def _named(self, name: str) -> Iterator[Handler]:
        registered = chain.from_iterable(self._by_type.values())
        return (handler for handler in registered if full_name(handler) == name)


def full_name(handler: Handler) -> str:
    return f"{handler.__module__}.{handler.__qualname__}"


def load_handlers(modules: Iterable[str]) -> Handlers:
    """The handlers of all modules, each of which has a `Handlers` named `handlers`.

    Raises HandlersError when a module is missing, fails, or has none.
    """
    found = Handlers()
    for name in modules:
        try:
            handlers = importlib.import_module(name).handlers
        except Exception as error:
            raise HandlersError(f"HANDLERS: the module {name!r} can't be used: {error}") from error
        if not isinstance(handlers, Handlers):
            raise HandlersError(f"HANDLERS: {name}.handlers is no monitor.Handlers")
        found.update(handlers)
    return found


class HandlerRunner:
    """Runs custom handlers in the background, so that neither answers nor other events wait.

    Pending calls are rows of `outbox_handlers`, committed with the event. A handler's transaction
    removes its row: through crashes, it is run until it has committed once.
    """

    def __init__(self, handlers: Handlers, pool: asyncpg.Pool, dead_letters: DeadLetters) -> None:
        self._handlers = handlers
        self._pool = pool
        self._dead_letters = dead_letters
        self._wanted = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._handlers:
            self._task = asyncio.create_task(self._work())

    async def stop(self, patience: float) -> None:
        """Ends the task once the present handler has run, or after `patience` seconds."""
        if self._task:
            self._stopping = True
            self._wanted.set()
            await asyncio.wait([self._task], timeout=patience)
            await cancel_and_wait(self._task)

    def wake(self, events: Iterable[Event]) -> None:
        if any(self._handlers.of(event.type) for event in events):
            self._wanted.set()

    async def replay(self, name: str, event: Event) -> None:
        """Runs the handler of that name once more. Raises HandlersError when there is none."""
        for handler in self._handlers.of(event.type):
            if handler.__name__ == name:
                async with asyncio.timeout(_TIMEOUT), self._transaction() as connection:
                    return await handler(event, connection)
        raise HandlersError(f"No module of HANDLERS has a handler {name} for {event.type}")

    async def _work(self) -> None:
        while not self._stopping:
            self._wanted.clear()
            try:
                await self._work_off()
            except (Unavailable, *DATABASE_ERRORS) as error:
                logger.warning("Handlers wait for PostgreSQL: %s", error)
                await asyncio.sleep(_PAUSE)
            except Exception:  # a fault of ours must not end all handlers for good
                logger.exception("Handlers could not be run")
                await asyncio.sleep(_PAUSE)
            else:
                with suppress(TimeoutError):  # others may leave some behind
                    await asyncio.wait_for(self._wanted.wait(), _SWEEP)

    async def _work_off(self) -> None:
        last = 0
        while notes := await self._pool.fetch(_SELECT_UNHANDLED, self._handlers.names, last):
            for note in notes:
                if self._stopping:
                    return
                last = note["id"]
                await self._handle(note)

    async def _handle(self, note: asyncpg.Record) -> None:
        handler, text = self._handlers.named(note["handler"]), note["event"]
        try:
            (event,) = decode(f"[{text}]".encode(), note["received_at"], 1).events
            event.class_id = note["class_id"]
            await with_retry(self._run, note["id"], handler, event)
        except (Unavailable, *UNAVAILABLE_ERRORS):
            raise  # not the handler's fault: the note waits until PostgreSQL is back
        except Exception as failure:
            logger.exception("The handler %s failed", note["handler"])
            error = failure.__cause__ if isinstance(failure, _Failed) else failure
            reason = f"{type(error).__name__}: {error}"
            letter = Rejected(0, handler.__name__, reason, text)
            deadline = asyncio.get_running_loop().time() + _TIMEOUT
            await self._dead_letters.add("handler", [letter], deadline)
            await self._pool.execute(_REMOVE, note["id"])

    async def _run(self, note: int, handler: Handler, event: Event) -> None:
        async with self._transaction() as connection:
            if await connection.fetchval(_TAKE, note):  # else another replica has
                await _call(handler, event, connection)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection


async def _call(handler: Handler, event: Event, connection: asyncpg.Connection) -> None:
    """Raises _Failed, or Unavailable when PostgreSQL went away meanwhile."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await handler(event, connection)
    except Exception as error:
        if await _answers(connection):
            raise _Failed from error
        raise to_unavailable(error) from error


async def _answers(connection: asyncpg.Connection) -> bool:
    try:
        await connection.execute("SELECT 1")
    except UNAVAILABLE_ERRORS:
        return False
    except asyncpg.PostgresError:  # the handler's statement has failed
        return True
    return True


async def leave_notes(
    connection: asyncpg.Connection, handlers: Handlers, events: Iterable[Event]
) -> None:
    """Notes which handlers are to be run, in the transaction that stores the events."""
    notes = [
        (full_name(handler), event.received_at, event.class_id, as_json(event))
        for event in events
        for handler in handlers.of(event.type)
    ]
    if notes:
        await connection.execute(_INSERT_UNHANDLED, *zip(*notes, strict=True))


_INSERT_UNHANDLED = """
    INSERT INTO outbox_handlers (handler, received_at, class_id, event)
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[])
"""

_SELECT_UNHANDLED = """
    SELECT id, handler, received_at, class_id, event FROM outbox_handlers
    WHERE handler = ANY($1::text[]) AND id > $2 ORDER BY id LIMIT 100
"""

_TAKE = """
    DELETE FROM outbox_handlers WHERE id = (
        SELECT id FROM outbox_handlers WHERE id = $1 FOR UPDATE SKIP LOCKED
    ) RETURNING id
"""

_REMOVE = "DELETE FROM outbox_handlers WHERE id = $1"
