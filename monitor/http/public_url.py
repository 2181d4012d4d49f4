"""The server's address as its users have it, for the links that it makes."""

from starlette.types import Scope


class PublicUrl(str):
    """A URL such as `https://school.example/monitor`, without a slash at its end."""

    __slots__ = ()


def public_url(address: str, scope: Scope) -> PublicUrl:
    """The `address` of the settings or, where that is empty, the one that the request names.

    A request knows nothing of a path that a proxy puts before its own, so that such a server needs
    the setting.
    """
    if address:
        return PublicUrl(address.rstrip("/"))
    for name, value in scope["headers"]:
        if name == b"host":
            return PublicUrl(f"{scope['scheme']}://{value.decode('latin-1')}")
    host, port = scope["server"]
    return PublicUrl(f"{scope['scheme']}://{host}:{port}")
