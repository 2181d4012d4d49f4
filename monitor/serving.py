"""Runs the HTTP server, and prints how to use it."""

import shlex
import socket

import uvicorn

from monitor.app import create_app
from monitor.database.embedded.programs import binaries
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.http.protocol import HttpProtocol
from monitor.http.websocket import WebSocketProtocol
from monitor.postgres_choice import postgres_for_server
from monitor.settings import Settings


class HttpServer(uvicorn.Server):
    """Prints how to use it once it listens, and closes connections that are too slow."""

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
                if isinstance(connection, HttpProtocol):
                    connection.expire(self._settings.request_timeout)
        return await super().on_tick(counter)


def serve(settings: Settings) -> bool:
    """Runs the server until a signal stops it; False if it could not start.

    Raises EmbeddedPostgresError if the embedded PostgreSQL is needed and can't be run.
    """
    with postgres_for_server(settings) as (embedded, address):
        config = uvicorn.Config(
            create_app(settings, address, embedded),
            host=settings.host,
            port=settings.port,
            http=HttpProtocol,
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
        server = HttpServer(config, settings, embedded)
        server.run()
        return server.started


def greeting(settings: Settings, embedded: EmbeddedPostgres | None) -> str:
    """What to do next: the page, the first event, where the data is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    if embedded:
        psql = shlex.join([str(binaries() / "psql"), "-h", embedded.host, "-U", embedded.user])
        data = f"{embedded.directory}  (an embedded PostgreSQL)\n  psql      {psql}"
    else:
        data = f"PostgreSQL at {settings.postgres_server}:{settings.postgres_port}"
    influx = settings.influxdb_url or "off  (set INFLUXDB_URL)"
    redis = settings.redis_host or "off  (set REDIS_HOST to run several replicas)"
    body = '[{"eventType": "cell_executed", "userId": "hanako", "notebookPath": "lesson.ipynb"}]'
    return f"""
Cell Monitor listens on {url}
  data      {data}
  InfluxDB  {influx}
  Redis     {redis}
Open {url}/ for the teacher's page, or send a first event and check the health:
  curl {url}{settings.api_v1_str}/events -H 'Content-Type: application/json' -d '{body}'
  curl {url}/health
"""
