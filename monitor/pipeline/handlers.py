"""Custom handlers: code from outside the package that runs for events of certain types.

This module imports no third-party package, so that `from monitor import Handlers` is cheap.
"""

import importlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from monitor.errors import HandlersError

if TYPE_CHECKING:
    import asyncpg

    from monitor.events.event import Event

Handler = Callable[["Event", "asyncpg.Connection"], Awaitable[None]]
H = TypeVar("H", bound=Handler)


class Handlers:
    """A registry of custom handlers, by type of event.

    Make one named `handlers` in a module of yours, and name the module in the setting HANDLERS
    (several are separated by commas; they must be importable, for instance through PYTHONPATH).
    """

    def __init__(self) -> None:
        self._by_type: defaultdict[str, list[Handler]] = defaultdict(list)

    def on(self, event_type: str) -> Callable[[H], H]:
        """Registers the decorated coroutine function for each new event of this type.

            from monitor import Handlers

            handlers = Handlers()

            @handlers.on("quiz_answered")
            async def quiz_answered(event, connection):
                await connection.execute("INSERT INTO answers VALUES ($1)", event.student)

        `event_type` is the `eventType` of the wire, matched exactly; a function may be registered
        for several types. The function is called with

        - `event`, a monitor.events.event.Event: for instance `event.id` (UUID), `event.time`
          (datetime in UTC), `event.student` (the `userId`), `event.metadata` (the text of a JSON
          object);
        - `connection`, an asyncpg.Connection that is in a transaction and used for this call only:
          its settings, type codecs, listeners and temporary tables end with the call.

        It runs after its event has been committed, and after the request has been answered. What it
        does on `connection` is committed once, even if the server crashes meanwhile; any other side
        effect may then happen twice. It is cancelled after 30 seconds. If it raises, suppresses an
        error of PostgreSQL, or closes the connection or its transaction, all is rolled back and it
        is run again, three times with increasing pauses; then the failure becomes a dead letter
        (`GET /rejected-events`), and the event stays.

        Raises HandlersError when another function of the same module and name is registered.
        """

        def register(handler: H) -> H:
            if any(other is not handler for other in self._named(full_name(handler))):
                raise HandlersError(f"Two handlers are called {full_name(handler)}: rename one")
            self._by_type[event_type].append(handler)
            return handler

        return register

    def update(self, other: "Handlers") -> None:
        """Adds the handlers of another registry."""
        for event_type, handlers in other._by_type.items():
            self._by_type[event_type] += handlers

    def __bool__(self) -> bool:
        return bool(self._by_type)

    def of(self, event_type: str) -> Sequence[Handler]:
        """The handlers of a type, in the order of their registration."""
        return self._by_type.get(event_type, ())

    @property
    def names(self) -> list[str]:
        """The full names of all handlers."""
        return [full_name(handler) for handlers in self._by_type.values() for handler in handlers]

    def named(self, name: str) -> Handler:
        """The handler with this full name, one of `names`."""
        return next(self._named(name))

    def _named(self, name: str) -> Iterator[Handler]:
        registered = chain.from_iterable(self._by_type.values())
        return (handler for handler in registered if full_name(handler) == name)


def full_name(handler: Handler) -> str:
    """The module and the name of a handler, which identify it across restarts."""
    return f"{handler.__module__}.{handler.__qualname__}"


def load_handlers(modules: Iterable[str]) -> Handlers:
    """The handlers of all modules, each of which has a `Handlers` named `handlers`.

    Raises HandlersError when a module is missing, fails, or has none.
    """
    loaded = Handlers()
    for name in modules:
        try:
            handlers = importlib.import_module(name).handlers
        except Exception as error:  # whatever the module raises
            raise HandlersError(f"HANDLERS: the module {name!r} can't be used: {error}") from error
        if not isinstance(handlers, Handlers):
            raise HandlersError(f"HANDLERS: {name}.handlers must be a monitor.Handlers")
        loaded.update(handlers)
    return loaded
