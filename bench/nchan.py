"""Deliveries per second to many sockets, by those of nginx with nchan."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from bench.crowd import crowd
from bench.figures import BenchError, Figure, ratio
from bench.load import Load, load, publish
from bench.server import free_port, monitor
from bench.usage import Usage

WHAT = "messages delivered/s to 500 sockets, by nginx with nchan"
GOAL = 0.40
SOCKETS = 500
CONNECTIONS = 8  # of publishers, in a closed loop
ROUNDS = 3
SETTLE, MEASURED = 1, 4  # seconds of each round
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
MISSING = "nginx with nchan is missing: `apt-get install nginx libnginx-mod-nchan`"

CONFIGURATION = """
load_module {module};
user root;
worker_processes 1;
daemon off;
error_log stderr crit;
pid {directory}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    nchan_message_buffer_length 1000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /ws {{ nchan_subscriber websocket; nchan_channel_id live; }}
        location = /publish {{ nchan_publisher; nchan_channel_id live; }}
        location = /health {{ return 200; }}
    }}
}}
"""


async def measure() -> Figure:
    """Alternating rounds of both; the server not measured is idle."""
    with _nginx() as (nginx, nginx_port), monitor() as server:
        ours, theirs, busy = [], [], ""
        for _ in range(ROUNDS):
            rate, _ = await _round(nginx_port, nginx, publish)
            theirs.append(rate)
            rate, busy = await _round(server.port, server.pid, _load)
            ours.append(rate)
    figure = ratio(WHAT, (fmean(ours), "deliveries/s"), (fmean(theirs), "deliveries/s"), GOAL)
    return replace(figure, notes=[f"rounds: {_listed(ours)}; nchan: {_listed(theirs)}", busy])


def _load(port: int, *, connections: int, seconds: int) -> AbstractContextManager[Load]:
    return load(port, batch=1, connections=connections, seconds=seconds)


async def _round(
    port: int, pid: int, publishing: Callable[..., AbstractContextManager[Load]]
) -> tuple[float, str]:
    with (
        crowd(port, "/ws", SOCKETS, timed=False) as clients,
        publishing(port, connections=CONNECTIONS, seconds=SETTLE + MEASURED + 1) as running,
    ):
        await asyncio.sleep(SETTLE)
        usage = Usage.of(pid, wrk=running.pid, sockets=clients.pid)
        before, start = await asyncio.to_thread(clients.received), time.perf_counter()
        await asyncio.sleep(MEASURED)
        after, end = await asyncio.to_thread(clients.received), time.perf_counter()
        busy = str(usage)
        await asyncio.to_thread(running.result)
    return (after.count - before.count) / (end - start), busy


@contextmanager
def _nginx() -> Iterator[tuple[int, int]]:
    if not (program := shutil.which("nginx", path="/usr/sbin:/usr/bin")) or not MODULE.exists():
        raise BenchError(MISSING)
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as directory:
        port, path = free_port(), Path(directory, "nginx.conf")
        path.write_text(CONFIGURATION.format(module=MODULE, directory=directory, port=port))
        with subprocess.Popen([program, "-p", directory, "-c", str(path)]) as process:
            try:
                time.sleep(1)
                if process.poll() is not None:
                    raise BenchError("nginx did not start")
                yield process.pid, port
            finally:
                process.terminate()


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)
