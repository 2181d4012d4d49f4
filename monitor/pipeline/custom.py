"""Handlers of custom types of event, registered from outside the package.

    from monitor.pipeline.custom import Handlers

    handlers = Handlers()

    @handlers.on("quiz_answered")
    async def quiz_answered(event, connection): ...

A handler runs after its event has been committed, with a connection to PostgreSQL, in a
transaction of its own. What it raises is retried; if it still fails the event stays, and the
failure is recorded in `rejected_events`.
"""

import asyncio
import importlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import asyncpg
import tenacity

from monitor.errors import HandlersError, Unavailable
from monitor.events import Event, Rejected, as_json
from monitor.pipeline.dead_letters import DeadLetters
from monitor.tasks import end

logger = logging.getLogger(__name__)

Handler = Callable[[Event, asyncpg.Connection], Awaitable[None]]
H = TypeVar("H", bound=Handler)

_TIMEOUT = 30.0  # seconds for one run of a handler

with_retry = tenacity.AsyncRetrying(
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
    stop=tenacity.stop_after_attempt(4),  # once, and three times more
    reraise=True,
)

_until_done = tenacity.AsyncRetrying(
    retry=tenacity.retry_if_exception_type(Unavailable),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
)


class Handlers:
    """A registry: which coroutine functions to call for which types of event."""

    def __init__(self) -> None:
        self._by_type: defaultdict[str, list[Handler]] = defaultdict(list)

    def on(self, event_type: str) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self._by_type[event_type].append(handler)
            return handler

        return register

    def update(self, other: "Handlers") -> None:
        for event_type, handlers in other._by_type.items():
            self._by_type[event_type] += handlers

    def __bool__(self) -> bool:
        return bool(self._by_type)

    def of(self, event_type: str) -> Iterable[Handler]:
        return self._by_type.get(event_type, ())


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
            raise HandlersError(f"HANDLERS: {name}.handlers is no monitor.pipeline.custom.Handlers")
        found.update(handlers)
    return found


class HandlerRunner:
    """Runs custom handlers in the background, so that neither answers nor other events wait."""

    def __init__(
        self, handlers: Handlers, pool: asyncpg.Pool, dead_letters: DeadLetters, queue_limit: int
    ) -> None:
        self._handlers = handlers
        self._pool = pool
        self._dead_letters = dead_letters
        self._queue: asyncio.Queue[tuple[Handler, Event]] = asyncio.Queue(queue_limit)
        self._worker: asyncio.Task[None] | None = None
        self._records: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._worker = asyncio.create_task(self._work())

    async def stop(self, patience: float) -> None:
        """Ends the worker once all handlers have run, or after `patience` seconds."""
        if self._worker is None:
            return
        try:
            async with asyncio.timeout(patience):
                await self._queue.join()
        except TimeoutError:
            logger.error("Stopped with %d handlers not run", self._queue.qsize())
        await end(self._worker)
        await asyncio.gather(*self._records, return_exceptions=True)

    def put(self, events: Iterable[Event]) -> None:
        for event in events if self._handlers else ():
            for handler in self._handlers.of(event.type):
                if self._queue.full():
                    self._record_later(handler, event, "Too many handlers were waiting")
                else:
                    self._queue.put_nowait((handler, event))

    async def replay(self, name: str, event: Event) -> None:
        """Runs the handler of that name once more. Raises HandlersError when there is none."""
        for handler in self._handlers.of(event.type):
            if handler.__name__ == name:
                return await self._run(handler, event)
        raise HandlersError(f"No module of HANDLERS has a handler {name} for {event.type}")

    async def _work(self) -> None:
        while True:
            handler, event = await self._queue.get()
            try:
                await with_retry(self._run, handler, event)
            except Exception as error:
                logger.exception("The handler of %s failed for event %s", event.type, event.id)
                self._record_later(handler, event, f"{type(error).__name__}: {error}")
            finally:
                self._queue.task_done()

    async def _run(self, handler: Handler, event: Event) -> None:
        async with (
            asyncio.timeout(_TIMEOUT),
            self._pool.acquire() as connection,
            connection.transaction(),
        ):
            await handler(event, connection)

    def _record_later(self, handler: Handler, event: Event, reason: str) -> None:
        letter = Rejected(0, handler.__name__, reason, as_json(event))
        task: asyncio.Task[None] = asyncio.create_task(_until_done(self._record, letter))
        self._records.add(task)
        task.add_done_callback(self._records.discard)

    async def _record(self, letter: Rejected) -> None:
        deadline = asyncio.get_running_loop().time() + _TIMEOUT
        await self._dead_letters.add("handler", [letter], deadline)
