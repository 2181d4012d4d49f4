"""Many live clients in a process of their own, which tells when each message came to each."""

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
AT_ONCE = 200  # handshakes
PATIENCE = 20.0  # seconds for all of them
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Heard(msgspec.Struct):
    """Messages so far, when the last came (s), and by message when it came to each socket."""

    count: int
    last: float
    times: list[list[float]]


class Crowd:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def heard(self) -> Heard:
        """Raises BenchError when a socket was closed."""
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchError("The live clients have no pipes")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise BenchError("A live client lost its connection")
        return msgspec.json.decode(line, type=Heard)


@contextmanager
def crowd(port: int, path: str, count: int, *, timed: bool) -> Iterator[Crowd]:
    """Connects so many sockets; `timed` keeps the time of each message at each."""
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
    """One socket: counts the messages without looking at what else there is."""

    def __init__(self, heard: Heard, path: str, timed: bool) -> None:
        self._heard = heard
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
        if found := data.count(MARK):
            self._heard.count += found
            self._heard.last = time.perf_counter()
            if self._timed:
                self._note(found)

    def connection_lost(self, exc: Exception | None) -> None:
        sys.exit("closed")

    def _note(self, found: int) -> None:
        times = self._heard.times
        for place in range(self._seen, self._seen + found):
            if place == len(times):
                times.append([])
            times[place].append(self._heard.last)
        self._seen += found


async def listen(port: int, path: str, count: int, timed: bool) -> None:
    """Tells what was heard each time that a line comes, until it is killed."""
    loop, heard, free = asyncio.get_running_loop(), Heard(0, 0, []), asyncio.Semaphore(AT_ONCE)

    async def join() -> None:
        async with free:
            _, client = await loop.create_connection(
                lambda: Client(heard, path, timed), "127.0.0.1", port
            )
            await client.joined

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(join() for _ in range(count)))
    print("listening", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(msgspec.json.encode(heard).decode(), flush=True)


if __name__ == "__main__":
    where, what, number, exact = sys.argv[1:]
    uvloop.run(listen(int(where), what, int(number), bool(int(exact))))
