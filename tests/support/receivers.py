"""Servers that receive notifications, as a chat service does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Receiver:
    """Keeps what it is sent as JSON, and answers with `status`, or, with None, never."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.calls = 0
        self.status: int | None = 200
        self.port = 0

    @property
    def url(self) -> str:
        """Its URL as a receiver of notifications, with a secret in it."""
        return f"json://user:S3cret-in-a-URL@127.0.0.1:{self.port}/hook"

    def titles(self) -> list[str]:
        return [each["title"] for each in self.messages]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.calls += 1
        size = int(head.partition("content-length:")[2].partition("\r\n")[0])
        message = json.loads(await reader.readexactly(size))
        if self.status is None:
            await reader.read()  # until the sender gives up
        else:
            if self.status == 200:
                self.messages.append(message)
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
