"""Starts the server: settings from the environment, PostgreSQL of its own where none is named."""

import argparse
import asyncio
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvicorn

from monitor import commands, logs
from monitor.app import create_app
from monitor.database.embedded.server import EmbeddedPostgres, EmbeddedPostgresError, binaries
from monitor.errors import MonitorError
from monitor.http.protocol import CorkedProtocol
from monitor.http.websocket import WebSocketProtocol
from monitor.rebuild import rebuild_influxdb
from monitor.settings import Settings, SettingsError, from_environment

_SOCKET_LINE = 4  # of postmaster.pid, counted from 0


class HttpServer(uvicorn.Server):
    """Says how to use it once it listens, and looks after the embedded PostgreSQL."""

    def __init__(
        self, config: uvicorn.Config, settings: Settings, embedded: EmbeddedPostgres | None
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._embedded = embedded

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(greeting(self._settings, self._embedded), flush=True)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, CorkedProtocol):
                    connection.expire(self._settings.request_timeout)
        if self._embedded and counter % 10 == 0:
            self._embedded.ensure_running()
        return await super().on_tick(counter)


def greeting(settings: Settings, embedded: EmbeddedPostgres | None) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    if embedded:
        psql = shlex.join([str(binaries() / "psql"), "-h", embedded.host, "-U", embedded.user])
        data = f"{embedded.directory}  (its own PostgreSQL)\n  psql      {psql}"
    else:
        data = f"PostgreSQL at {settings.postgres_server}:{settings.postgres_port}"
    influx = settings.influxdb_url or "off  (set INFLUXDB_URL)"
    redis = settings.redis_host or "off  (set REDIS_HOST, for several replicas)"
    body = '[{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}]'
    return f"""
Cell Monitor listens on {url}
  data      {data}
  InfluxDB  {influx}
  Redis     {redis}
Send a first event, and look how the server is:
  curl {url}{settings.api_v1_str}/events -H 'Content-Type: application/json' -d '{body}'
  curl {url}/health
"""


@contextmanager
def postgres_of(settings: Settings) -> Iterator[tuple[EmbeddedPostgres | None, Mapping[str, Any]]]:
    """The embedded PostgreSQL, if it is to be, and asyncpg's arguments to connect."""
    if settings.postgres_server:
        yield (
            None,
            {
                "host": settings.postgres_server,
                "port": settings.postgres_port,
                "user": settings.postgres_user,
                "password": settings.postgres_password or None,
                "database": settings.postgres_db,
            },
        )
        return
    with EmbeddedPostgres(settings.data_dir / "postgres") as embedded:
        yield (
            embedded,
            {
                "host": embedded.host,
                "port": embedded.port,
                "user": embedded.user,
                "database": embedded.database,
            },
        )


@contextmanager
def postgres_for_commands(settings: Settings) -> Iterator[Mapping[str, Any]]:
    """The same, or the embedded PostgreSQL of a server that runs on this DATA_DIR."""
    try:
        with postgres_of(settings) as (_, address):
            yield address
    except EmbeddedPostgresError:
        pid_file = settings.data_dir / "postgres" / "data" / "postmaster.pid"
        if not pid_file.exists():
            raise
        host = pid_file.read_text().splitlines()[_SOCKET_LINE]
        yield {"host": host, "port": 5432, "user": "postgres", "database": "postgres"}


def serve(settings: Settings) -> bool:
    """Runs until it is told to stop; false when it could not start."""
    with postgres_of(settings) as (embedded, address):
        config = uvicorn.Config(
            create_app(settings, address),
            host=settings.host,
            port=settings.port,
            http=CorkedProtocol,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            log_config=None,
            access_log=False,
            server_header=False,
            ws=WebSocketProtocol,
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
            ws_ping_interval=10,
            ws_ping_timeout=10,
            timeout_graceful_shutdown=max(1, round(settings.stop_timeout)),
        )
        CorkedProtocol.max_head = settings.max_header_bytes
        server = HttpServer(config, settings, embedded)
        server.run()
        return server.started


def rebuild(settings: Settings, since: datetime, until: datetime) -> None:
    """Draws the points of that time anew."""
    with postgres_of(settings) as (_, address):
        written = asyncio.run(
            rebuild_influxdb(
                settings, address, since, until, lambda written: print(written, "points")
            )
        )
    print(f"Done: {written} points")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    points = subparsers.add_parser("rebuild-influxdb", help="draw all points anew from PostgreSQL")
    points.add_argument(
        "--since", type=_time, default=datetime(1970, 1, 1, tzinfo=UTC), help="ISO 8601, inclusive"
    )
    points.add_argument(
        "--until", type=_time, default=datetime(9999, 1, 1, tzinfo=UTC), help="ISO 8601, exclusive"
    )
    commands.declare(subparsers)
    return parser.parse_args()


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def main() -> int:
    given = arguments()
    try:
        settings = from_environment(os.environ)
        logs.configure(settings.log_level)
        if given.command == "rebuild-influxdb":
            rebuild(settings, given.since, given.until)
            return 0
        if given.command:
            return commands.run(given, settings, partial(postgres_for_commands, settings))
        return 0 if serve(settings) else 1
    except SettingsError as error:
        print(f"Setting {error}", file=sys.stderr)
        return 2
    except (EmbeddedPostgresError, MonitorError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
