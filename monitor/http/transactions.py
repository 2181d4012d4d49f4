"""The transactions of one call, with its authorisation and its audit entry."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.types import Scope

from monitor.auth import audit
from monitor.auth.authorisation import lock_of, names_to_verify, verify
from monitor.auth.call import Call
from monitor.auth.permissions import Rule
from monitor.database.pool import Connection, Database

logger = logging.getLogger(__name__)


class Transactions:
    """Opens the transactions of one call, each of which authorises it again.

    `Api` opens one for a handler with a Connection. A handler that needs several, or none for a
    while, has this as a parameter instead. The constructor raises Forbidden where the arguments by
    themselves are not for the caller.
    """

    def __init__(
        self, database: Database, scope: Scope, operation: str, arguments: Mapping[str, Any]
    ) -> None:
        call: Call = scope["call"]
        rule = cast(Rule, call.rule)  # the gate lets nobody through without one
        self._database = database
        self._principal = call.principal
        self._operation = operation
        self._path: str = scope["path"]
        self._body = arguments.get("body")
        self._extra: dict[str, Any] = {}
        self._names = names_to_verify(rule, arguments)
        self._as_teacher = rule.as_teacher
        self._lock = lock_of(scope["method"], rule)
        self._is_audited = audit.is_audited(call.principal, scope["method"], arguments)

    @asynccontextmanager
    async def begin(self, *, audited: bool = True) -> AsyncIterator[Connection]:
        """A transaction in which the call is authorised, and what it depends on stays unchanged.

        A call that reads has one snapshot, a call that writes holds locks (see `verify`). It
        commits at the end, together with the audit entry of a call that has one; pass
        `audited=False` to all transactions except one. Raises Forbidden, and Unavailable when
        PostgreSQL can't do it now.
        """
        async with self._database.transaction(snapshot=self._lock is None) as connection:
            await verify(
                connection, self._principal, self._names, self._lock, as_teacher=self._as_teacher
            )
            yield connection
            if audited and self._is_audited:
                await audit.record(
                    connection,
                    self._principal,
                    operation=self._operation,
                    path=self._path,
                    detail=audit.detail_of(self._body) | self._extra,
                )

    def add_detail(self, **detail: Any) -> None:
        """Adds what the audit entry says beside the body's plain fields, in JSON's types."""
        self._extra |= detail

    async def authorise(self) -> None:
        """Authorises a call whose handler is given no connection, before it does anything.

        An export is audited here, as it may be read from a standby. Raises Forbidden and
        Unavailable.
        """
        if self._names or self.is_export:
            await self.enter(audited=self.is_export)

    async def enter(self, *, audited: bool = True) -> None:
        """Authorises the call, and writes its audit entry, in a transaction for nothing else.

        Raises as `begin` does.
        """
        async with self.begin(audited=audited):
            pass

    @property
    def is_export(self) -> bool:
        """Whether the call only reads, and still enters the audit log."""
        return self._is_audited and self._lock is None

    @property
    def names_rows(self) -> bool:
        """Whether the call names rows that have to be visible to the caller: see `verify`."""
        return bool(self._names)

    async def verify(self, connection: Connection) -> None:
        """Authorises a call that reads, on somebody else's snapshot. Raises Forbidden."""
        await verify(connection, self._principal, self._names, None, as_teacher=self._as_teacher)


class AfterCommit:
    """Collects a handler's actions that run only once its changes are committed."""

    def __init__(self) -> None:
        self._actions: list[Callable[[], Awaitable[None] | None]] = []

    def __call__(self, action: Callable[[], Awaitable[None] | None]) -> None:
        """Adds a function or a coroutine function without arguments."""
        self._actions.append(action)

    async def run(self) -> None:
        """Runs the actions in order. One that fails is logged: the change is made all the same."""
        for action in self._actions:
            try:
                if (pending := action()) is not None:
                    await pending
            except Exception:  # the caller must still learn that the change was made
                logger.exception("A change was committed, and what follows from it failed")
