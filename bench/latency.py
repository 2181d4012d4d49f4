"""The time from a POST to the live message, at a steady rate."""

import asyncio
import gc
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.figures import BenchError, Figure, percentile
from bench.server import ROOT, monitor, pair
from bench.workload import EVENTS, STUDENTS, live_url, student

WHAT = "p99 from POST to the live message at 500 events/s"
GOAL = 50  # ms
PAIR_WHAT = "the same, posted at one replica and seen at another, through Redis"
PAIR_GOAL = 60  # ms
SOCKETS = 200
RATE = 500  # events per second, one to a request
WARM_UP, MEASURED = 3, 15  # seconds
TIMEOUT = 10.0  # seconds for the last messages


class Times(msgspec.Struct):
    """When each event was due, sent, answered and seen (s)."""

    due: dict[str, float]
    sent: dict[str, float]
    answered: dict[str, float]
    seen: dict[str, float]

    def since_due(self, moments: dict[str, float]) -> list[float]:
        """Milliseconds from when each event was due; without those of the warm-up."""
        measured = list(self.due)[WARM_UP * RATE :]
        return [(moments[event] - self.due[event]) * 1e3 for event in measured]


class Report(msgspec.Struct):
    """The report of the generator's process: p50, p99 and the maximum of each, in milliseconds."""

    live: tuple[float, float, float]
    answer: tuple[float, float, float]
    lag: tuple[float, float, float]


async def measure() -> Figure:
    with monitor() as server:
        report = await _run(server.port, server.port)
    return _figure(WHAT, report, GOAL)


async def measure_pair() -> Figure:
    with pair() as (near, far):
        report = await _run(near.port, far.port)
    return _figure(PAIR_WHAT, report, PAIR_GOAL)


async def _run(port: int, live_port: int) -> Report:
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bench.latency", str(port), str(live_port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise BenchError(f"The generator failed:\n{process.stderr[-2000:]}")
    return msgspec.json.decode(process.stdout, type=Report)


def _figure(what: str, report: Report, goal: int) -> Figure:
    notes = [
        f"{name}: p50 {p50:.1f}, p99 {p99:.1f}, max {top:.1f} ms"
        for name, (p50, p99, top) in {
            "live message": report.live,
            "answer to the POST": report.answer,
            "generator's own delay": report.lag,
        }.items()
    ]
    p99 = report.live[1]
    of = f"POST to message, {STUDENTS} students, {SOCKETS} sockets"
    return Figure(what, f"{p99:.1f} ms", of, "–", f"< {goal} ms", p99 < goal, notes)


class Poster:
    """Posts events over connections that it keeps in turn; opens another when all are busy."""

    def __init__(self, port: int) -> None:
        self._port = port
        # The longest idle goes first: uvicorn closes what has been idle for 5 s.
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def post(self, body: bytes) -> None:
        """Raises BenchError when it is not accepted."""
        async with self._connection() as (reader, writer):
            writer.write(_HEAD % (EVENTS.encode(), len(body)) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 202"):
                raise BenchError(f"An event was not accepted: {head.decode()}")
            _, _, length = head.lower().partition(b"content-length:")
            await reader.readexactly(int(length.split(b"\r\n")[0]))

    @asynccontextmanager
    async def _connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self._idle:
            connection = self._idle.popleft()
        else:
            connection = await asyncio.open_connection("127.0.0.1", self._port)
        yield connection
        self._idle.append(connection)


_HEAD = (
    b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


async def generate(port: int, live_port: int) -> Report:
    """Posts events when they are due, without waiting for answers; awaits them all at the end."""
    gc.disable()
    times, poster = Times({}, {}, {}, {}), Poster(port)
    share = STUDENTS // SOCKETS
    readers = []
    for first in range(0, STUDENTS, share):
        socket = await connect(live_url(live_port, range(first, first + share)), compression=None)
        await socket.recv()  # that it is subscribed
        readers.append(asyncio.create_task(_read(socket, times)))
    start = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as posts:
        for number in range((WARM_UP + MEASURED) * RATE):
            due = start + number / RATE
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            posts.create_task(_post(poster, times, number, due))
    await _await_all(times, readers)
    return Report(
        _summary(times.since_due(times.seen)),
        _summary(times.since_due(times.answered)),
        _summary(times.since_due(times.sent)),
    )


async def _post(poster: Poster, times: Times, number: int, due: float) -> None:
    event = str(uuid.uuid4())
    times.due[event] = due
    body = msgspec.json.encode([event_of(event, number)])
    times.sent[event] = time.perf_counter()
    await poster.post(body)
    times.answered[event] = time.perf_counter()


def event_of(event: str, number: int) -> dict[str, object]:
    who, cell = number * 7919 % STUDENTS, number % 40
    return {
        "eventId": event,
        "eventType": "cell_executed",
        "eventTime": datetime.now(UTC),
        "emailAddress": student(who),
        "teamName": f"チーム{who % 20}",
        "userName": f"学生{who}",
        "sessionId": f"78b6456c-c8b5-4fe3-8c2b-{who:012x}",
        "notebookPath": f"lesson-{cell % 2}.ipynb",
        "cellId": f"c-{cell:02d}",
        "cellIndex": cell,
        "cellType": "code",
        "code": "scores = [72, 85, 91, 64, 78, 88]\nsum(scores) / len(scores)\n" * 3,
        "executionCount": number,
        "hasError": False,
        "result": "79.66666666666667",
        "executionDurationMs": 12,
    }


class _Data(msgspec.Struct, rename="camel"):
    event_id: str


class _Message(msgspec.Struct):
    data: _Data


async def _read(socket: ClientConnection, times: Times) -> None:
    decode = msgspec.json.Decoder(_Message).decode
    while True:
        text = await socket.recv(decode=False)
        now = time.perf_counter()
        times.seen[decode(text).data.event_id] = now


async def _await_all(times: Times, readers: list[asyncio.Task[None]]) -> None:
    deadline = time.perf_counter() + TIMEOUT
    while len(times.seen) < len(times.due):
        if any(reader.done() for reader in readers) or time.perf_counter() > deadline:
            raise BenchError(f"{len(times.due) - len(times.seen)} live messages did not come")
        await asyncio.sleep(0.05)


def _summary(values: list[float]) -> tuple[float, float, float]:
    return percentile(values, 0.5), percentile(values, 0.99), max(values)


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(generate(int(sys.argv[1]), int(sys.argv[2])))).decode())
