"""The live clients of a run: sockets that read every message, in a process of their own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.figures import BenchError
from bench.server import ROOT
from bench.workload import SOCKETS, live_url


class Listeners:
    """The process of the live clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def received(self) -> int:
        """Ends the clients; returns how many messages they got."""
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=30)
        if self._process.returncode:
            raise BenchError("A live client lost its connection")
        return int(output)


@contextmanager
def listeners(port: int) -> Iterator[Listeners]:
    """Attaches the sockets, each to the channel of one student."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.listeners", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if not process.stdout or process.stdout.readline() != "listening\n":
            raise BenchError("The live clients could not connect")
        yield Listeners(process)
    finally:
        process.kill()
        process.wait()


async def listen(port: int) -> int:
    """Counts the messages until SIGTERM; a socket that closes is an error."""
    urls = [live_url(port, range(number, number + 1)) for number in range(SOCKETS)]
    sockets = [await connect(url, compression=None) for url in urls]
    for socket in sockets:
        await socket.recv()  # `subscribed`
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("listening", flush=True)
    counts = [0]
    readers = [asyncio.create_task(_read(socket, counts)) for socket in sockets]
    end = asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait([end, *readers], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return counts[0]


async def _read(socket: ClientConnection, counts: list[int]) -> None:
    while True:
        await socket.recv(decode=False)
        counts[0] += 1


if __name__ == "__main__":
    print(uvloop.run(listen(int(sys.argv[1]))))
