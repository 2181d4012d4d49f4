"""Many live clients in a process of their own, which reports when each got each message."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvloop

from bench.figures import BenchError
from bench.server import ROOT

MARK = b'"execution_update"'  # once in each message
PING = b"\x89\x04"  # before four bytes, which come back with the pong
PONG = b"\x8a\x84\0\0\0\0"
CONCURRENT_HANDSHAKES = 200
TIMEOUT = 20.0  # seconds for all handshakes
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Received(msgspec.Struct):
    """Messages so far, the time of the last (s), and for each message its time at each socket."""

    count: int
    last: float
    times: list[list[float]]


class Crowd:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def received(self) -> Received:
        """All messages received so far. Raises BenchError if a socket was closed."""
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchError("The live clients have no pipes")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise BenchError("A live client lost its connection")
        return msgspec.json.decode(line, type=Received)


@contextmanager
def crowd(port: int, path: str, count: int, *, timed: bool) -> Iterator[Crowd]:
    """Connects `count` sockets; `timed` records the time of each message at each."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.crowd", str(port), path, str(count), str(int(timed))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if not process.stdout or process.stdout.readline() != "listening\n":
            raise BenchError("The live clients could not connect")
        yield Crowd(process)
    finally:
        process.kill()
        process.communicate()


class Client(asyncio.Protocol):
    """One socket: counts messages without parsing the frames."""

    def __init__(self, received: Received, path: str, timed: bool) -> None:
        self._received = received
        self._path = path
        self._timed = timed
        self._seen = 0
        self._tail = b""
        self.joined = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(HANDSHAKE % self._path.encode())

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        self._tail = data[1 - len(MARK) :]
        if (place := data.find(PING)) >= 0:
            self._transport.write(PONG + data[place + len(PING) :][:4])
        if not self.joined.done() and data.startswith(b"HTTP/1.1 101"):
            self.joined.set_result(None)
        if count := data.count(MARK):
            self._received.count += count
            self._received.last = time.perf_counter()
            if self._timed:
                self._record(count)

    def connection_lost(self, exc: Exception | None) -> None:
        sys.exit("closed")

    def _record(self, count: int) -> None:
        times = self._received.times
        for place in range(self._seen, self._seen + count):
            if place == len(times):
                times.append([])
            times[place].append(self._received.last)
        self._seen += count


async def listen(port: int, path: str, count: int, timed: bool) -> None:
    """Prints what was received for each line on standard input, until it is killed."""
    loop, received, slots = (
        asyncio.get_running_loop(),
        Received(0, 0, []),
        asyncio.Semaphore(CONCURRENT_HANDSHAKES),
    )

    async def join() -> None:
        async with slots:
            _, client = await loop.create_connection(
                lambda: Client(received, path, timed), "127.0.0.1", port
            )
            await client.joined

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(join() for _ in range(count)))
    print("listening", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(msgspec.json.encode(received).decode(), flush=True)


if __name__ == "__main__":
    where, what, number, exact = sys.argv[1:]
    uvloop.run(listen(int(where), what, int(number), bool(int(exact))))
