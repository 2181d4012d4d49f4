"""Finds a request's credential: in a header, in the URL, or as a WebSocket subprotocol."""

from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import unquote_plus

from starlette.types import Scope

from monitor.errors import Unauthenticated

SUBPROTOCOL = "cell-monitor"  # offered by sockets beside `bearer.<token>`, and accepted
_BEARER = "bearer."
_MAX_LENGTH = 8192  # characters
_MAX_CACHED_QUERY = 256  # bytes; the cache is bounded in memory, too

Kind = Literal["key", "token", "login"]


class Credential(NamedTuple):
    """An ingest key, a person's token, or the login that their cookie names."""

    kind: Kind
    text: str


def find(scope: Scope, tokens_in_url: bool = False) -> Credential | None:
    """The first credential of a request. Raises Unauthenticated if it is malformed.

    Tokens in the URL are for the extension, which sends no header: proxies log URLs.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            return _authorization(value.decode("latin-1"))
        if name == b"x-ingest-key":
            return _checked("key", value.decode("latin-1"))
    if scope["type"] == "websocket":
        for offered in scope["subprotocols"]:
            if offered.startswith(_BEARER):
                return _checked("token", offered.removeprefix(_BEARER))
    if query := scope["query_string"]:
        read = _cached if len(query) <= _MAX_CACHED_QUERY else _in_url
        return read(query, tokens_in_url)
    return None


def _authorization(value: str) -> Credential:
    scheme, _, text = value.partition(" ")
    if scheme.lower() not in ("bearer", "token"):
        raise Unauthenticated("Authorization: send `Bearer` and a token")
    return _checked("token", text.strip())


def _in_url(query: bytes, tokens: bool) -> Credential | None:
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if name == "key":
            return _checked("key", unquote_plus(value))
        if tokens and name == "token":
            return _checked("token", unquote_plus(value))
    return None


_cached = lru_cache(4096)(_in_url)  # all requests of a class have the same query


def _checked(kind: Kind, text: str) -> Credential:
    if not 0 < len(text) <= _MAX_LENGTH or not (text.isascii() and text.isprintable()):
        raise Unauthenticated(f"Malformed {kind}")
    return Credential(kind, text)
