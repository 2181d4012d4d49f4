"""Checks the settings that say where servers are: URLs, and the same by their parts."""

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from monitor.settings import Settings

_POSTGRES = ("postgresql", "postgres")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_SCHEMES = {
    "database_url": _POSTGRES,
    "database_read_url": _POSTGRES,
    "redis_url": ("redis", "rediss", "unix", *_SENTINEL),
}
_URL_OF = {
    "postgres_server": "database_url",
    "postgres_read_server": "database_read_url",
    "redis_host": "redis_url",
}


def check_addresses(settings: "Settings") -> None:
    """Raises ValueError, which names the setting and repeats no password."""
    if settings.influxdb_url:
        _split("influxdb_url", settings.influxdb_url)
    for name, url_name in _URL_OF.items():
        if "://" in getattr(settings, name):
            raise ValueError(f"{name.upper()} is a host: a URL belongs in {url_name.upper()}")
    for name, schemes in _SCHEMES.items():
        if url := getattr(settings, name):
            parts = _split(name, url)
            if parts.scheme not in schemes:
                expected = " or ".join(f"{scheme}://" for scheme in schemes)
                raise ValueError(f"{name.upper()} must begin with {expected}")
            if parts.scheme in _SENTINEL and not dict(parse_qsl(parts.query)).get("master"):
                raise ValueError(f"{name.upper()} must name the Sentinels' master: …?master=…")


def check_agreement(settings: "Settings", given: AbstractSet[str]) -> None:
    """Raises ValueError where a URL and a part of it are both `given`, by name, and differ."""
    for name in sorted(given & _SCHEMES.keys()):
        for part, value in _parts(name, _split(name, getattr(settings, name))).items():
            if part in given and getattr(settings, part) != value:
                raise ValueError(f"{part.upper()} and {name.upper()} differ: set one of them")


def _split(name: str, url: str) -> SplitResult:
    """Raises ValueError where a character of a password ends a part of the URL too early."""
    try:
        parts = urlsplit(url)
        is_whole = not parts.fragment and "@" not in parts.path + parts.query
        is_whole = is_whole and ("," in parts.netloc or parts.port != -1)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"{name.upper()} is no URL: encode characters such as / ? # @ by percent")
    return parts


def _parts(name: str, url: SplitResult) -> dict[str, Any]:
    """What the URL says of the settings that name the same server, by these."""
    host, _, port = url.netloc.rpartition("@")[2].rpartition(":")
    if not port.isdigit():
        host, port = f"{host}:{port}".strip(":"), ""
    if name == "redis_url":
        return {"redis_host": host, "redis_port": int(port or 6379)}
    if name == "database_read_url":
        return {"postgres_read_server": host}
    return {
        "postgres_server": host,
        "postgres_port": int(port or 5432),
        "postgres_user": unquote(url.username or ""),
        "postgres_password": unquote(url.password or ""),
        "postgres_db": unquote(url.path[1:]),
    }
