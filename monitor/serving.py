"""Runs the HTTP server, and prints how to use it."""

import asyncio
import logging
import os
import shlex
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

import uvicorn

from monitor import logs
from monitor.addresses import postgres_place, redis_address, without_password
from monitor.app import create_app
from monitor.classroom import Classroom, is_local, open_classroom
from monitor.database.embedded.programs import binaries
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.database.migrations import check_before_start
from monitor.http.protocol import HttpProtocol
from monitor.http.qr_code import qr_text
from monitor.http.traced import with_traces
from monitor.http.websocket import WebSocketProtocol
from monitor.postgres_choice import postgres_for_server
from monitor.settings import UNIX, Settings
from monitor.tracing import tracing

logger = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """Prints how to use it once it listens, and closes connections that are too slow."""

    def __init__(self, config: uvicorn.Config, greeting: str, request_timeout: float) -> None:
        super().__init__(config)
        self._greeting = greeting
        self._request_timeout = request_timeout

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._greeting, flush=True)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.expire(self._request_timeout)
        return await super().on_tick(counter)


def serve(settings: Settings, class_name: str | None = None) -> bool:
    """Runs the server until a signal stops it; False if it could not start.

    With a `class_name` it first makes the class of that name, or finds it, and prints its links.
    Raises EmbeddedPostgresError if the embedded PostgreSQL is needed and can't be run, SchemaError
    if the database can't be used, TracingError if traces can't be sent as the environment asks,
    and Unavailable if the class can't be made now.
    """
    logger.debug("Settings that differ from their defaults: %s", ", ".join(settings.changed))
    node = logs.node(settings.place)
    with (
        postgres_for_server(settings) as (embedded, address),
        tracing(os.environ, node, settings.project_version),
    ):
        _check_postgres(settings, address)
        if class_name is None:
            text = greeting(settings, embedded)
        else:
            text = class_greeting(asyncio.run(open_classroom(settings, address, class_name)))
        config = uvicorn.Config(
            with_traces(create_app(settings, address, embedded)),
            host=settings.host,
            port=settings.port,
            http=HttpProtocol,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=in_both_families(settings.trusted_proxies),
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
        server = HttpServer(config, text, settings.request_timeout)
        server.run(_listeners(settings))
        return server.started


def _check_postgres(settings: Settings, address: Mapping[str, Any]) -> None:
    """Raises SchemaError where the server can't start.

    A file remembers that PostgreSQL was reached before: then it may be away now.
    """
    seen = settings.data_dir / "postgres-was-reached"
    if asyncio.run(check_before_start(address, is_first=not seen.exists())) and not seen.exists():
        with suppress(OSError):  # a full disk stops no start: the next one is a first one, too
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            seen.touch()


def _listeners(settings: Settings) -> list[socket.socket] | None:
    """The socket to listen at; None where uvicorn makes the right one itself.

    Its own for `::` would be for IPv6 only, and one in the file system for every user.
    """
    if settings.host == "::":
        return [
            socket.create_server(("::", settings.port), family=socket.AF_INET6, dualstack_ipv6=True)
        ]
    if not settings.host.startswith(UNIX):
        return None
    path = Path(settings.host.removeprefix(UNIX))
    if path.is_socket():  # left by a server that was killed
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o660)
    return [listener]


def in_both_families(proxies: list[str]) -> list[str]:
    """These addresses and networks; those of IPv4 also as a socket for both families shows them."""
    mapped = []
    for each in proxies:
        with suppress(ValueError):  # `*`, or a name
            network = ip_network(each)
            if isinstance(network, IPv4Network):
                prefix = 96 + network.prefixlen
                mapped.append(f"::ffff:{network.network_address}/{prefix}")
    return [*proxies, *mapped]


def greeting(settings: Settings, embedded: EmbeddedPostgres | None) -> str:
    """What to do next: the page, the first event, where the data is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url, curl = f"http://{host}:{settings.port}", "curl"
    if settings.host.startswith(UNIX):
        url = "http://localhost"
        curl = f"curl --unix-socket {shlex.quote(settings.host.removeprefix(UNIX))}"
    if embedded:
        psql = shlex.join([str(binaries() / "psql"), "-h", embedded.host, "-U", embedded.user])
        data = f"{embedded.directory}  (an embedded PostgreSQL)\n  psql      {psql}"
    else:
        data = f"PostgreSQL at {postgres_place(settings)}"
    influx = without_password(settings.influxdb_url) or "off  (set INFLUXDB_URL)"
    redis = redis_address(settings)
    broker = (
        without_password(redis.url) if redis else "off  (set REDIS_URL to run several replicas)"
    )
    return f"""
Cell Monitor listens on {settings.host if settings.host.startswith(UNIX) else url}
  data      {data}
  InfluxDB  {influx}
  Redis     {broker}
{_first_steps(settings, url, curl)}  {curl} {url}/health
"""


def _first_steps(settings: Settings, url: str, curl: str) -> str:
    """Where the page is, as its users have it, and how to send a first event."""
    page = (settings.public_url or url + settings.path_below).rstrip("/")
    events = f"{settings.api_v1_str}/events"
    if not settings.has_credentials:
        first = '{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}'
        return f"""\
Open {page}/ for the teacher's page, or send a first event and check the health:
  {curl} {url}{events} -H 'Content-Type: application/json' -d '[{first}]'
"""
    enter = "sign in" if settings.signs_in else "paste a token of `mint-token NAME --role admin`"
    return f"""\
Open {page}/ for the teacher's page, and {enter}. Extensions post with the key of a class
(`keys create NAME --class-id ID`) to {page}{events}?key=… The health:
"""


def class_greeting(classroom: Classroom) -> str:
    """The links of the class that the server was started for, and the students' as a QR code."""
    network = "\nThere is no network: these links work on this computer only.\n"
    return f"""
Cell Monitor: {classroom.name}

{qr_text(classroom.students_url)}
  students  {classroom.students_url}
  teacher   {classroom.teacher_url}
{network if is_local(classroom.students_url) else ""}
Show the students their link or the QR code. The teacher's link is for you alone: it signs you in.
Both stay the same when you start the server again with the same command. Ctrl-C stops it.
"""
