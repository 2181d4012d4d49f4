"""Registering and loading handlers."""

import subprocess
import sys
from types import ModuleType

import asyncpg
import pytest

from monitor import Handlers
from monitor.errors import HandlersError
from monitor.events.event import Event
from monitor.pipeline.handlers import Handler, load_handlers


def test_two_handlers_of_one_name_are_refused() -> None:
    handlers = Handlers()

    def named() -> Handler:
        async def handler(event: Event, connection: asyncpg.Connection) -> None: ...

        return handler

    handlers.on("quiz")(named())
    with pytest.raises(HandlersError, match="rename one"):
        handlers.on("exam")(named())


def module(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> str:
    made_up = ModuleType(name)
    vars(made_up).update(attributes)
    monkeypatch.setitem(sys.modules, name, made_up)
    return name


def test_the_handlers_of_all_modules_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(event: Event, connection: asyncpg.Connection) -> None: ...

    one, other = Handlers(), Handlers()
    for handlers in (one, other):
        handlers.on("quiz")(handler)
    names = [module(monkeypatch, "one", handlers=one), module(monkeypatch, "two", handlers=other)]
    assert list(load_handlers(names).of("quiz")) == [handler, handler]
    assert list(load_handlers([]).of("quiz")) == []


def test_a_module_that_is_missing_or_has_no_handlers_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [
        "no_such_module_anywhere",
        module(monkeypatch, "without"),
        module(monkeypatch, "wrong", handlers=[]),
    ]
    for name in names:
        with pytest.raises(HandlersError, match=f"^HANDLERS: .*{name}"):
            load_handlers([name])


def test_importing_the_package_loads_nothing_but_handlers() -> None:
    code = "import sys; import monitor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"asyncpg", "asyncio", "msgspec", "starlette", "uvicorn"})
