"""The network between the servers and PostgreSQL: a proxy that can drop everything silently."""

import asyncio
from contextlib import suppress
from typing import Self

KEEPALIVE = 25.0  # seconds after which PostgreSQL misses a client, by the server's tcp_keepalives_*


class Network:
    """Forwards to a Unix socket until it drops everything, which neither end notices.

    While `refusing` it accepts no connection.
    """

    def __init__(self, socket: str) -> None:
        self.target = socket  # of new connections
        self._age = 0  # connections of an earlier age are dead, and their ends don't know
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_far: list[asyncio.StreamWriter] = []
        self.port = 0
        self.dropping = False
        self.refusing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        self._age += 1
        self.dropping = True
        for writer in self._to_far:
            asyncio.get_running_loop().call_later(KEEPALIVE, writer.close)
        self._to_far.clear()

    def cut(self) -> None:
        """Closes all connections, as a server that dies does."""
        for task in self._tasks:
            task.cancel()

    def lead_to(self, socket: str) -> None:
        """Closes all connections; new ones lead to this Unix socket."""
        self.target = socket
        self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.close()
            return
        age, writers = self._age, [writer]
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # When one end closes, the other is closed, too. A cancelled task also ends without an
            # error: asyncio would report it as one of the server's.
            with suppress(OSError, asyncio.CancelledError):
                if self.dropping:
                    await asyncio.Future()
                far, to_far = await asyncio.open_unix_connection(self.target)
                writers.append(to_far)
                self._to_far.append(to_far)
                await asyncio.gather(self._pump(reader, to_far, age), self._pump(far, writer, age))
        finally:
            self._tasks.discard(task)
            for each in writers:
                each.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, age: int
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if age != self._age:
                    await asyncio.Future()
                sink.write(data)
                await sink.drain()
        if age != self._age:
            await asyncio.Future()
        sink.close()
