"""`/login` and `/logout`: the page signs in at a provider, and a cookie keeps who that was."""

import hmac
import logging
import re
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from monitor.auth.call import Call
from monitor.auth.gate import Gate
from monitor.auth.login_cookies import place_of
from monitor.auth.logins import Logins, Shown
from monitor.auth.providers import Attempt, Grant, new_attempt
from monitor.auth.tokens import NoRole
from monitor.errors import NotFound, OverLimit, Unauthenticated, Unavailable
from monitor.http.public_url import Address, PublicUrl, public_url
from monitor.http.responses import json_response

logger = logging.getLogger(__name__)

# A part of the page: what follows `#` in its address. Anything else could lead elsewhere.
_PART = re.compile(r"#/[\w/.~%!$&'()*+,;=:@?-]{0,500}", re.ASCII)

Failure = Literal["expired", "refused", "no-role", "unavailable"]


class SignedOut(msgspec.Struct):
    """Where the browser goes after signing out: to the provider, which ends its own login."""

    url: str


def routes(gate: Gate, address: Address) -> list[Route]:
    """The routes. `address` is the server's (see `public_url`)."""
    door = _Door(gate, address)
    endpoints = {
        "/login": door.begin,
        "/login/callback": door.finish,
        "/oauth_callback": door.finish,
        "/login/session": door.session,
        "/logout": door.sign_out,
    }
    return [
        Route(path, endpoint, methods=[method], middleware=gate.guard(path, method))
        for path, endpoint in endpoints.items()
        for method in ["POST" if path == "/logout" else "GET"]
    ]


class _Door:
    """The endpoints."""

    def __init__(self, gate: Gate, address: Address) -> None:
        self._authenticator = gate.authenticator
        self._cookies = gate.cookies
        self._address = address

    async def begin(self, request: Request) -> Response:
        """Leads to the provider. `?next=#/class/7` is what to come back to."""
        logins, home = self._logins(), public_url(self._address, request.scope)
        attempt = new_attempt(_part(request.query_params.get("next", "")))
        provider = logins.provider
        try:
            url = await provider.address(attempt, provider.callback(home), _payer(request))
        except (Unavailable, OverLimit) as error:
            return self._failed(request, "unavailable", error)
        response = RedirectResponse(url, 303)
        self._cookies.keep_attempt(response, request.scope, attempt)
        return response

    async def finish(self, request: Request) -> Response:
        """Where the provider leads back to, with a code or an error."""
        logins, home = self._logins(), public_url(self._address, request.scope)
        query, attempt = request.query_params, self._cookies.find_attempt(request.scope)
        state = query.get("state", "").encode()
        if attempt is None or not hmac.compare_digest(state, attempt.state.encode()):
            return self._failed(
                request, "expired", "It was begun in another browser, or too long ago"
            )
        if "code" not in query:
            return self._failed(request, "refused", query.get("error", "There is no code"))
        try:
            login = await self._signed_in(request, logins, attempt, home)
        except NoRole as error:
            return self._failed(request, "no-role", error)
        except Unauthenticated as error:
            return self._failed(request, "refused", error)
        except (Unavailable, OverLimit) as error:
            return self._failed(request, "unavailable", error)
        response = RedirectResponse(f"{place_of(home).path}{_part(attempt.next)}", 303)
        self._cookies.keep(response, request.scope, login)
        return response

    async def _signed_in(
        self, request: Request, logins: Logins, attempt: Attempt, home: PublicUrl
    ) -> str:
        """The id of a new login, in place of the one before."""
        provider, code = logins.provider, request.query_params["code"]
        callback = provider.callback(home)
        identity = await provider.identity(code, attempt, callback, _payer(request))
        await self._end(request, logins)
        return await logins.begin(identity)

    async def session(self, request: Request) -> Response:
        """Who is signed in, for the page."""
        login, call = self._cookies.find(request.scope), _call(request)
        logins = self._logins()
        if login is None or request.headers.get("authorization"):
            principal = call.principal
            return json_response(Shown(principal.name, principal.name, principal.role))
        return json_response(await logins.shown(login.text))

    async def sign_out(self, request: Request) -> Response:
        """Ends the login, and answers where to sign out at the provider."""
        logins, home = self._logins(), public_url(self._address, request.scope)
        grant = await self._end(request, logins)
        try:
            url = await logins.provider.sign_out_url(grant, home, _payer(request))
        except (Unavailable, OverLimit):
            url = f"{home}/"
        response = json_response(SignedOut(url))
        self._cookies.forget(response, request.scope)
        return response

    async def _end(self, request: Request, logins: Logins) -> Grant:
        """Ends the login that the browser has, if any; returns what the provider had granted."""
        login = self._cookies.find(request.scope)
        if login is None:
            return Grant()
        self._authenticator.forget(login)
        try:
            return await logins.end(login.text)
        except (
            Unauthenticated
        ):  # what the provider granted can't be read: it has ended all the same
            return Grant()

    def _failed(self, request: Request, failure: Failure, reason: object) -> Response:
        """The page, whatever host the request names, which says so and offers to try again."""
        logger.warning("Somebody could not sign in (%s). %s", failure, reason)
        home = public_url(self._address, request.scope)
        response = RedirectResponse(f"{place_of(home).path}?login={failure}", 303)
        self._cookies.forget_attempt(response, request.scope)
        return response

    def _logins(self) -> Logins:
        """Raises NotFound where nobody signs in."""
        if self._authenticator.logins is None:
            raise NotFound("Nobody signs in at this server: it has no provider")
        return self._authenticator.logins


def _call(request: Request) -> Call:
    call: Call = request.scope["call"]
    return call


def _payer(request: Request) -> str:
    return _call(request).payer


def _part(text: str) -> str:
    return text if _PART.fullmatch(text) else ""
