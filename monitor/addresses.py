"""How to reach the servers that the settings name, as each driver wants it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from monitor.live.redis_address import RedisAddress
from monitor.settings import Settings
from monitor.timeseries.influx_client import Target


def postgres_address(settings: Settings) -> Mapping[str, Any] | None:
    """asyncpg's connection arguments; None where the embedded PostgreSQL is used."""
    if settings.database_url:
        return {"dsn": settings.database_url}
    if not settings.postgres_server:
        return None
    return {
        "host": settings.postgres_server,
        "port": settings.postgres_port,
        "user": settings.postgres_user,
        "password": settings.postgres_password or None,
        "database": settings.postgres_db,
    }


def postgres_place(settings: Settings) -> str:
    """Where an external PostgreSQL is, to show."""
    if settings.database_url:
        return without_password(settings.database_url)
    return f"{settings.postgres_server}:{settings.postgres_port}"


def standby_address(settings: Settings, primary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Those of the standby for reads; None without one. `primary` are the primary's."""
    if settings.database_read_url:
        return {"dsn": settings.database_read_url}
    if settings.postgres_read_server:
        return {**primary, "host": settings.postgres_read_server}
    return None


def redis_address(settings: Settings) -> RedisAddress | None:
    """None without Redis: then this is the only replica."""
    if settings.redis_url:
        return RedisAddress(settings.redis_url)
    if settings.redis_host:
        host = f"[{settings.redis_host}]" if ":" in settings.redis_host else settings.redis_host
        return RedisAddress(f"redis://{host}:{settings.redis_port}")
    return None


def influx_target(settings: Settings) -> Target | None:
    """Where points are written; None without INFLUXDB_URL."""
    if not settings.influxdb_url:
        return None
    url = urlsplit(settings.influxdb_url)
    return Target(
        without_password(settings.influxdb_url),
        settings.influxdb_bucket,
        settings.influxdb_token,
        settings.influxdb_org,
        unquote(url.username or ""),
        unquote(url.password or ""),
    )


def without_password(url: str) -> str:
    """The URL without user, password and options, to show."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
