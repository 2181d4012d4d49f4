"""The cookies of logins: one that names a login, one that holds a sign-in that has begun."""

import base64
import re

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from monitor.auth.credentials import Credential
from monitor.auth.providers import Attempt

LOGIN = "cell-monitor-login"
ATTEMPT = "cell-monitor-sign-in"
_ATTEMPT_SECONDS = 600  # for name, password, and a second factor
_FORM = re.compile(r"[\w-]{43}")  # 256 bits


def find(scope: Scope) -> Credential | None:
    """The login that a request's cookie names."""
    value = _cookie(scope, LOGIN)
    return Credential("login", value) if _FORM.fullmatch(value) else None


def find_attempt(scope: Scope) -> Attempt | None:
    """The sign-in that this browser has begun."""
    value = _cookie(scope, ATTEMPT)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(f"{value}=="), type=Attempt)
    except (ValueError, msgspec.MsgspecError):
        return None


class LoginCookies:
    """Sets and deletes them, for the server at a URL: its `path` below, and whether by https."""

    def __init__(self, path: str, is_secure: bool) -> None:
        self._path = path
        self._is_secure = is_secure

    def keep(self, response: Response, login: str) -> None:
        """Until the browser is closed: others may use it after somebody has left."""
        self._set(response, LOGIN, login)
        self._delete(response, ATTEMPT)

    def keep_attempt(self, response: Response, attempt: Attempt) -> None:
        value = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()
        self._set(response, ATTEMPT, value.rstrip("="), _ATTEMPT_SECONDS)

    def forget(self, response: Response) -> None:
        self._delete(response, LOGIN)

    def forget_attempt(self, response: Response) -> None:
        self._delete(response, ATTEMPT)

    def _set(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=self._path,
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(
            name, path=self._path, secure=self._is_secure, httponly=True, samesite="lax"
        )


def _cookie(scope: Scope, wanted: str) -> str:
    """Its value, or an empty text. Of several that of the longest path, which comes first."""
    for header, value in scope["headers"]:
        if header == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                name, _, text = str(pair).strip().partition("=")
                if name == wanted:
                    return text
    return ""
