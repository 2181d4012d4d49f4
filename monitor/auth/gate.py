"""Authentication, authorisation by role, and rate limiting, before a request reaches its route."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.auth import credentials
from monitor.auth.access_report import AccessReport
from monitor.auth.authentication import Authenticator
from monitor.auth.call import Call
from monitor.auth.credentials import Credential
from monitor.auth.limits import Limiter, network_of
from monitor.auth.login_cookies import LoginCookies
from monitor.auth.origins import Origins
from monitor.auth.permissions import ROUTES, Permission
from monitor.auth.principal import NOBODY, Principal
from monitor.errors import Forbidden, MonitorError, OverLimit, Unauthenticated, Unavailable
from monitor.events.event import Payload
from monitor.logs import keep_error

ENDED = 4401  # the close code of a socket whose credential is not valid, or no longer

Guard = Callable[..., list[Middleware]]  # `Gate.guard`


class Gate:
    """Decides who may make which request. Without a limiter nothing is counted.

    What it refuses of a class's keys it puts into the report. `note_refusal` is called with the
    scope of each socket that is refused, or one of whose commands is, and the reason.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: Limiter | None,
        origins: Origins,
        cookies: LoginCookies,
        report: AccessReport,
        note_refusal: Callable[[Scope, str], None],
    ) -> None:
        self.authenticator = authenticator
        self.limiter = limiter
        self.origins = origins
        self.cookies = cookies
        self.report = report
        self.note_refusal = note_refusal
        self._usage = authenticator.keyring.usage
        self._shared_ids = report.shared_ids

    async def enter(self, scope: Scope, permission: Permission) -> None:
        """Puts the Call into `scope["call"]`.

        Raises Forbidden, Unauthenticated, OverLimit, and Unavailable when a credential can't be
        verified now.
        """
        call = scope["call"] = Call(permission, host=_host(scope))
        if not (permission.ingest or permission.uncounted):  # the page's files are for everybody
            self.origins.check(scope, self._is_from_extension(scope, permission))
        try:
            await self._identify(scope, call)
        except (Unauthenticated, OverLimit) as error:
            if permission.ingest:
                self._report(scope, error)
            raise
        call.rule = permission.rule(call.principal.role)
        if call.rule is None:
            raise _refusal(call.principal)

    def _is_from_extension(self, scope: Scope, permission: Permission) -> bool:
        """On an open server no socket is: it would show the whole class to any website."""
        is_of_all = scope["type"] == "websocket" and self.authenticator.is_open
        return permission.from_extension and not is_of_all

    async def _identify(self, scope: Scope, call: Call) -> None:
        """Counts the call, too: for its address if the credential is refused, or not looked up."""
        try:
            call.identify(await self.caller(scope))
        except (Unauthenticated, OverLimit):
            self._ask(call)
            raise
        self._ask(call)

    def _ask(self, call: Call) -> None:
        """Raises OverLimit."""
        if self.limiter and not call.permission.uncounted:
            call.allowances = self.limiter.of(call.principal, call.payer)
            for allowance in call.allowances:
                allowance.ask()

    async def caller(self, scope: Scope) -> Principal:
        """Raises Unauthenticated, and Unavailable when a credential can't be verified now."""
        call: Call = scope["call"]
        credential = credentials.find(scope, tokens_in_url=call.ingest)
        if credential is None:
            login = self._login(scope)
            return await self._signed_in(login, call) if login else self.authenticator.nobody
        in_use = self.authenticator.in_use(credential)
        return in_use or await self.authenticator.principal(credential, call.payer)

    def _login(self, scope: Scope) -> Credential | None:
        """The login that a cookie names. Raises Forbidden where another page may have sent it.

        Events are never posted with it: any page may make a browser do that.
        """
        permission = scope["call"].permission
        if not self.authenticator.logins or permission.ingest or permission.uncounted:
            return None
        login = self.cookies.find(scope)
        if login:
            self.origins.check_own(scope)
        return login

    async def _signed_in(self, login: Credential, call: Call) -> Principal:
        """What anybody may do, somebody may whose login has ended, or can't be verified now.

        Nobody needs the provider for signing out, for instance.
        """
        try:
            return await self.authenticator.principal(login, call.payer)
        except (Unauthenticated, Unavailable, OverLimit):
            if call.permission.anyone:
                return NOBODY
            raise

    def socket(self, call: Call) -> AbstractContextManager[None]:
        """Counts an open socket. Raises OverLimit when the caller has too many."""
        return self.limiter.socket(call.payer) if self.limiter else nullcontext()

    def admit(self, scope: Scope, payload: Payload, size: int) -> None:
        """Counts the events of a request of `size` bytes. Raises OverLimit."""
        call: Call = scope["call"]
        principal = call.principal
        count = len(payload)
        try:
            for allowance in call.allowances:
                allowance.spend(count, size)
            if principal.role == "key":
                self._usage.count(principal, call.payer, count)
        except OverLimit as error:
            self._report(scope, error, count)
            raise
        if principal.class_id is not None and principal.student is None:
            address = network_of(call.host)
            self._shared_ids.compare(principal.class_id, address, payload.events)

    def refund(self, scope: Scope, events: int) -> None:
        """Takes duplicates, and what was not stored, out of the day's quota."""
        call: Call = scope["call"]
        if events and call.principal.role == "key":
            self._usage.count(call.principal, call.payer, -events)

    def _report(self, scope: Scope, error: MonitorError, events: int = 1) -> None:
        """Reports that a request with an ingest key was refused."""
        try:
            credential = credentials.find(scope)
        except Unauthenticated:  # it is malformed: no class's
            return
        if credential is None or credential.kind != "key":
            return
        if isinstance(error, Unauthenticated):
            self.report.refuse_key(credential.text, _host(scope))
            return
        principal = self.authenticator.keyring.in_use.get(credential.text)
        if principal and principal.class_id is not None:
            self.report.refuse_over_limit(principal.class_id, credential.text, _host(scope), events)

    def guard(self, path: str, *methods: str) -> list[Middleware]:
        """The middleware of a route: `path` is its key in the table, without the API's prefix."""
        permissions = {
            method: ROUTES.get(f"{_table_method(method)} {path}", _REFUSED) for method in methods
        }
        return [Middleware(Guarded, self, permissions)]


_REFUSED = Permission()


class Guarded:
    """A route behind the gate. A method without a row in the table is refused."""

    def __init__(self, app: ASGIApp, gate: Gate, permissions: Mapping[str, Permission]) -> None:
        self._app = app
        self._gate = gate
        self._permissions = permissions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._gate.enter(scope, self._permissions.get(scope["method"], _REFUSED))
            await self._app(scope, receive, send)
            return
        try:
            await self._gate.enter(scope, self._permissions.get("WS", _REFUSED))
            with self._gate.socket(scope["call"]):
                await self._app(scope, receive, send)
        except MonitorError as error:  # before the socket is accepted: answered by HTTP's 403
            keep_error(scope, error)
            if isinstance(error, Forbidden):
                self._gate.note_refusal(scope, str(error))
            if isinstance(error, Unauthenticated) and self._gate.authenticator.logins:
                await send({"type": "websocket.accept"})  # or a page could not read the code
                await send({"type": "websocket.close", "code": ENDED, "reason": str(error)})
            else:
                await send({"type": "websocket.close"})


def _table_method(method: str) -> str:
    """The method by which the table lists a call: HEAD is a GET there."""
    return "GET" if method == "HEAD" else method


def _host(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _refusal(principal: Principal) -> MonitorError:
    if principal.role == "anyone":
        return Unauthenticated("Send a credential: `Authorization: Bearer` and a token")
    return Forbidden(f"The role {principal.role!r} may not do this")
