"""The server's address as its users have it, for the links that it makes."""

from typing import NamedTuple
from urllib.parse import quote

from starlette.types import Scope


class PublicUrl(str):
    """A URL such as `https://school.example/monitor`, without a slash at its end."""

    __slots__ = ()


class Address(NamedTuple):
    """What the settings say: the whole URL, or only the path below which a proxy serves it."""

    url: str = ""
    root_path: str = ""


def public_url(address: Address, scope: Scope) -> PublicUrl:
    """The URL of the settings or, where that is empty, the one that the request names."""
    if address.url:
        return PublicUrl(address.url.rstrip("/"))
    below = quote(address.root_path)
    for name, value in scope["headers"]:
        if name == b"host":
            return PublicUrl(f"{scope['scheme']}://{value.decode('latin-1')}{below}")
    host, port = scope["server"]
    return PublicUrl(f"{scope['scheme']}://{host}:{port}{below}")
