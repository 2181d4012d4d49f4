"""`/ws`: what a dashboard listens to."""

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from monitor.pipeline.hub import ALL, Hub, Subscriber

SLOW = 3008  # the close code for a client that doesn't keep up; it may come back at once
MAX_CHANNELS = 1000
MAX_CHANNEL_LENGTH = 2000
_CLOSE_TIMEOUT = 1.0  # seconds for a peer that reads nothing


class Command(msgspec.Struct):
    """What a client sends."""

    action: Literal["subscribe", "unsubscribe", "ping"]
    channels: list[str] = []
    since: str | None = None


class Subscribed(msgspec.Struct):
    channels: list[str]
    recovered: bool


class Unsubscribed(msgspec.Struct):
    channels: list[str]


class Pong(msgspec.Struct):
    pass


class Error(msgspec.Struct):
    code: str
    message: str


_COMMANDS = msgspec.json.Decoder(Command)


def routes(hub: Hub) -> list[WebSocketRoute]:
    async def live(socket: WebSocket) -> None:
        with hub.join() as subscriber:
            await Connection(hub, socket, subscriber).run()

    return [WebSocketRoute("/ws", live)]


class Connection:
    """One client: its commands in, its messages out."""

    def __init__(self, hub: Hub, socket: WebSocket, subscriber: Subscriber) -> None:
        self._hub = hub
        self._socket = socket
        self._subscriber = subscriber
        self._all_by_default = False

    async def run(self) -> None:
        query = self._socket.query_params
        channels = [name for name in query.get("channels", "").split(",") if name]
        self._subscribe(channels, query.get("since"))
        await self._socket.accept()
        overrun = asyncio.create_task(self._subscriber.overrun.wait())
        tasks = {asyncio.create_task(self._send()), asyncio.create_task(self._receive()), overrun}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if overrun in done:
            with suppress(TimeoutError, WebSocketDisconnect):
                await asyncio.wait_for(self._socket.close(SLOW, "slow"), _CLOSE_TIMEOUT)
        for task in done:
            task.result()

    async def _send(self) -> None:
        while True:
            for text in await self._subscriber.take():
                try:
                    await self._socket.send_text(text)
                except WebSocketDisconnect:
                    return

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._obey(message.get("text") or message.get("bytes") or b"")

    def _obey(self, frame: str | bytes) -> None:
        try:
            command = _COMMANDS.decode(frame)
        except msgspec.ValidationError as error:
            return self._reply("error", Error("invalid_command", str(error)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._reply("error", Error("invalid_json", str(error)))
        if command.action == "ping":
            return self._reply("pong", Pong())
        if command.action == "subscribe":
            return self._subscribe(command.channels, command.since)
        self._hub.unsubscribe(self._subscriber, command.channels)
        return self._reply("unsubscribed", Unsubscribed(command.channels))

    def _subscribe(self, channels: list[str], since: str | None) -> None:
        """Without channels to everything, until the client names some."""
        names = channels or [ALL]
        if any(len(name) > MAX_CHANNEL_LENGTH for name in names):
            return self._reply("error", Error("invalid_channel", "A channel's name is too long"))
        if len(self._subscriber.channels.union(names)) > MAX_CHANNELS:
            return self._reply("error", Error("too_many_channels", f"At most {MAX_CHANNELS}"))
        if self._all_by_default:
            self._hub.unsubscribe(self._subscriber, [ALL])
        self._all_by_default = not channels
        self._hub.subscribe(self._subscriber, names)
        return self._reply("subscribed", Subscribed(names, recovered=since is None))

    def _reply(self, event: str, data: msgspec.Struct) -> None:
        self._hub.reply(self._subscriber, event, data)
