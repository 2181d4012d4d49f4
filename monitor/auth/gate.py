"""What a request passes before its route: who calls, whether they may, and not too often."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.auth import credentials
from monitor.auth import permissions as access
from monitor.auth.audit import act_of
from monitor.auth.authentication import Authenticator
from monitor.auth.limits import Allowance, Limiter
from monitor.auth.origins import Origins
from monitor.auth.permissions import ROUTES, Permission
from monitor.auth.principal import Principal
from monitor.database.pool import ACT, Database, note
from monitor.errors import Forbidden, MonitorError, Unauthenticated
from monitor.events.event import Payload

_TOKENS_IN_URL = ("/ws", "/docs")  # which browsers open by themselves, and can set no header for


class Gate:
    """Everything that decides over a request. Without a limiter nothing is counted."""

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: Limiter | None,
        origins: Origins,
        database: Database,
    ) -> None:
        self.authenticator = authenticator
        self.limiter = limiter
        self.origins = origins
        self.database = database

    async def enter(self, scope: Scope, row: Permission) -> None:
        """Notes the caller in the scope. Raises what refuses the request."""
        if not row.ingest:
            self.origins.check(scope)
        accounts: tuple[Allowance, ...] = ()
        if self.limiter:
            accounts = (self.limiter.accounts[_host(scope)],)
            accounts[0].ask()
        principal = await self.caller(scope)
        if self.limiter and principal.role != "anyone":
            accounts += (self.limiter.accounts[principal],)
            accounts[1].ask()
        rule = row.rule(principal.role)
        if rule is None:
            raise _refusal(principal)
        scope["principal"], scope["rule"], scope["accounts"] = principal, rule, accounts

    async def caller(self, scope: Scope) -> Principal:
        """Raises Unauthenticated, and Unavailable when it can't be said now."""
        in_url = scope["path"].startswith(_TOKENS_IN_URL)
        return await self.authenticator.principal(credentials.find(scope, in_url))

    @contextmanager
    def socket(self, scope: Scope) -> Iterator[None]:
        """Raises OverLimit when the caller has too many."""
        name = scope["principal"].title
        with self.limiter.socket(name) if self.limiter else nullcontext():
            yield

    async def permit(self, scope: Scope, found: Mapping[str, Any]) -> None:
        """Raises Forbidden when the call's arguments are not for its caller; else notes the act."""
        principal: Principal = scope["principal"]
        await access.check(scope["rule"], principal, found, self.database)
        act = act_of(scope, principal, found)
        is_export = scope["method"] in ("GET", "HEAD")
        if act and is_export:  # what it reads from may be a standby
            async with self.database.transaction() as connection:
                await note(connection, act)
        else:
            ACT.set(act)

    def admit(self, scope: Scope, items: Payload, size: int) -> None:
        """Whether the caller may post these events. Raises Forbidden, OverLimit."""
        principal: Principal = scope["principal"]
        count = len(items)
        for account in scope["accounts"]:
            account.bring(count, size)
        if principal.role == "key":
            self.authenticator.keyring.count(principal, count)
            if principal.class_id is not None:
                for event in items.events:
                    event.class_id = principal.class_id
        elif principal.role != "admin":
            for event in items.events:
                if event.student != principal.name:
                    raise Forbidden(f"With this token the userId of events is {principal.name!r}")


_REFUSED = Permission()


class Guarded:
    """A route behind the gate. A method without a row in the table is refused."""

    def __init__(self, app: ASGIApp, gate: Gate, rows: Mapping[str, Permission]) -> None:
        self._app = app
        self._gate = gate
        self._rows = rows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        row = self._rows.get(scope["method"] if scope["type"] == "http" else "WS", _REFUSED)
        scope["ingest"] = row.ingest
        if scope["type"] == "http":
            await self._gate.enter(scope, row)
            await self._app(scope, receive, send)
            return
        try:
            await self._gate.enter(scope, row)
            with self._gate.socket(scope):
                await self._app(scope, receive, send)
        except MonitorError:  # raised before the socket is accepted: HTTP's 403
            await send({"type": "websocket.close"})


def guarded(gate: Gate, prefix: str, routes: Sequence[BaseRoute]) -> list[Route | WebSocketRoute]:
    """The same routes, each behind the gate."""
    found: list[Route | WebSocketRoute] = []
    for route in routes:
        if not isinstance(route, Route | WebSocketRoute):
            raise TypeError(f"{route!r} can't be guarded")
        found.append(route)
        methods = route.methods or () if isinstance(route, Route) else ("WS",)
        path = route.path.removeprefix(prefix)
        rows = {method: ROUTES.get(f"{_read(method)} {path}", Permission()) for method in methods}
        route.app = Guarded(route.app, gate, rows)
    return found


def _read(method: str) -> str:
    return "GET" if method == "HEAD" else method


def _host(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _refusal(principal: Principal) -> MonitorError:
    if principal.role == "anyone":
        return Unauthenticated("Send a credential: `Authorization: Bearer` and a token")
    return Forbidden(f"This is not for the role {principal.role!r}")
