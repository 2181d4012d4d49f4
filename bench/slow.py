"""A thousand clients, and one that reads nothing: its effect on the others' latency."""

import asyncio
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import msgspec

from bench.crowd import HANDSHAKE, Crowd, crowd
from bench.figures import BenchError, Figure, percentile
from bench.latency import Poster, event_of
from bench.server import monitor

WHAT = "1,000 clients and one that reads nothing: the others' p99, with it by without"
GOAL = 1.5
SOCKETS = 1_000
RATE = 40  # messages per second, each to all
MESSAGES = 120  # of one round
ROUNDS = 3
LIMIT = "50"  # messages after which a client is slow
LONG = {"notebookPath": "n" * 500, "cellId": "c" * 500}  # fills the buffers fast


async def measure() -> Figure:
    """Rounds without the slow client, then with it, until it has been cut off."""
    with (
        monitor(SOCKET_MAX_PENDING=LIMIT) as server,
        crowd(server.port, "/ws", SOCKETS, timed=True) as clients,
    ):
        poster = Poster(server.port)
        await _round(poster, clients, 0)  # the warm-up
        without = [await _round(poster, clients, 1 + number) for number in range(ROUNDS)]
        with _mute(server.port):
            rounds = range(1 + ROUNDS, 1 + 2 * ROUNDS)
            with_it = [await _round(poster, clients, number) for number in rounds]
            if (left := _sockets(server.port)) != SOCKETS:
                raise BenchError(f"{left} sockets are left of {SOCKETS} and the one")
    value = median(with_it) / median(without)
    return Figure(
        WHAT,
        f"{value:.2f}",
        f"{median(with_it):.1f} ms",
        f"{median(without):.1f} ms",
        f"< {GOAL}",
        value < GOAL,
        [f"rounds: {_listed(with_it)} with it; {_listed(without)} without"],
    )


async def _round(poster: Poster, clients: Crowd, number: int) -> float:
    """The p99, over messages and sockets, of the time from the POST (ms)."""
    sent, start = [], time.perf_counter()
    for place in range(MESSAGES):
        if (wait := start + place / RATE - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        body = msgspec.json.encode([event_of(str(uuid.uuid4()), place) | LONG])
        sent.append(time.perf_counter())
        await poster.post(body)
    await asyncio.sleep(1)
    received = await asyncio.to_thread(clients.received)
    times = received.times[number * MESSAGES :]
    if sum(map(len, times)) != MESSAGES * SOCKETS:
        raise BenchError("Not every socket got every message")
    return percentile(
        [(read - at) * 1000 for at, moments in zip(sent, times, strict=True) for read in moments],
        0.99,
    )


@contextmanager
def _mute(port: int) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(HANDSHAKE % b"/ws")
        yield


def _sockets(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return int(msgspec.json.decode(answer.read())["sockets"])


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values) + " ms"
