"""The cookies of logins: one that names a login, one that holds a sign-in that has begun.

By https each has a second one, its mark, with a hash of its value. A page of another host in the
same domain can plant the first, and so sign its visitor in as somebody else; not the mark, whose
name begins with `__Host-`: browsers take that from its own host alone, for all of its paths. The
mark may therefore reach others behind the same host, to whom it is of no use.
"""

import base64
import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from monitor.auth.credentials import Credential
from monitor.auth.providers import Attempt

LOGIN = "cell-monitor-login"
ATTEMPT = "cell-monitor-sign-in"
_ATTEMPT_SECONDS = 600  # for name, password, and a second factor
_FORM = re.compile(r"[\w-]{43}")  # 256 bits


class Place(NamedTuple):
    """Where the server is for a browser: its path, with a slash at its end; whether by https."""

    path: str
    is_secure: bool


def place_of(home: str) -> Place:
    """Of the server's URL; it may be quoted or not."""
    url = urlsplit(home)
    return Place(quote(f"{unquote(url.path)}/"), url.scheme in ("https", "wss"))


class LoginCookies:
    """Finds, sets and deletes them. `home` is the server's URL, as a request names it."""

    def __init__(self, home: Callable[[Scope], str]) -> None:
        self._home = home

    def find(self, scope: Scope) -> Credential | None:
        """The login that a request's cookie names."""
        value = self._value(scope, LOGIN)
        return Credential("login", value) if _FORM.fullmatch(value) else None

    def find_attempt(self, scope: Scope) -> Attempt | None:
        """The sign-in that this browser has begun."""
        value = self._value(scope, ATTEMPT)
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(f"{value}=="), type=Attempt)
        except (ValueError, msgspec.MsgspecError):
            return None

    def keep(self, response: Response, scope: Scope, login: str) -> None:
        """Until the browser is closed: others may use it after somebody has left."""
        self._set(response, scope, LOGIN, login)
        self._delete(response, scope, ATTEMPT)

    def keep_attempt(self, response: Response, scope: Scope, attempt: Attempt) -> None:
        value = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()
        self._set(response, scope, ATTEMPT, value.rstrip("="), _ATTEMPT_SECONDS)

    def forget(self, response: Response, scope: Scope) -> None:
        self._delete(response, scope, LOGIN)

    def forget_attempt(self, response: Response, scope: Scope) -> None:
        self._delete(response, scope, ATTEMPT)

    def _value(self, scope: Scope, name: str) -> str:
        """The cookie's value, or an empty text.

        Of several that which has the mark or, where there is none, that of the longest path, which
        comes first.
        """
        values = _values(scope, name)
        if not values:
            return ""
        place = place_of(self._home(scope))
        if not place.is_secure:
            return values[0]
        marks = _values(scope, _marking(name, place))
        return next((each for each in values if _is_marked(name, each, marks)), "")

    def _set(
        self, response: Response, scope: Scope, name: str, value: str, seconds: int | None = None
    ) -> None:
        place = place_of(self._home(scope))
        cookies = [(name, value, place.path)]
        if place.is_secure:
            cookies.append((_marking(name, place), _mark(name, value), "/"))
        for key, text, path in cookies:
            response.set_cookie(
                key,
                text,
                max_age=seconds,
                path=path,
                secure=place.is_secure,
                httponly=True,
                samesite="lax",
            )

    def _delete(self, response: Response, scope: Scope, name: str) -> None:
        place = place_of(self._home(scope))
        cookies = [(name, place.path)]
        if place.is_secure:
            cookies.append((_marking(name, place), "/"))
        for key, path in cookies:
            response.delete_cookie(
                key, path=path, secure=place.is_secure, httponly=True, samesite="lax"
            )


def _marking(name: str, place: Place) -> str:
    """The name of a cookie's mark. With the path: a host may have several servers."""
    return f"__Host-{name}-{sha256(place.path.encode()).hexdigest()[:8]}"


def _mark(name: str, value: str) -> str:
    return sha256(f"mark of {name} {value}".encode()).hexdigest()


def _is_marked(name: str, value: str, marks: list[str]) -> bool:
    expected = _mark(name, value).encode()
    return any(hmac.compare_digest(expected, mark.encode()) for mark in marks)


def _values(scope: Scope, wanted: str) -> list[str]:
    """Of the cookies with that name, in the order in which they came."""
    values = []
    for header, value in scope["headers"]:
        if header == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                name, _, text = str(pair).strip().partition("=")
                if name == wanted:
                    values.append(text)
    return values
