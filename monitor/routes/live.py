"""`/ws`: live messages for dashboards. docs/live.md describes the protocol for clients."""

import asyncio
import logging
import time
from typing import NoReturn

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from monitor.auth.authentication import RECHECK_INTERVAL
from monitor.auth.call import Call
from monitor.auth.channels import all_of, carriers, plain, refusal
from monitor.auth.credentials import SUBPROTOCOL
from monitor.auth.gate import ENDED, Gate
from monitor.database.paging import Id
from monitor.database.pool import Database
from monitor.errors import Forbidden, OverLimit, Unauthenticated, Unavailable
from monitor.http.operations import Api
from monitor.live.channels import Carriers
from monitor.live.commands import (
    Command,
    Error,
    Pong,
    SocketQuery,
    Subscribed,
    Unsubscribed,
    read_command,
    what_is_wrong,
)
from monitor.live.cursor import StreamPosition
from monitor.live.hub import Hub, Stale
from monitor.live.presence import Attendance
from monitor.live.replay import Missed, Replay
from monitor.live.subscriber import SLOW, Subscriber
from monitor.live.subscriptions import Subscriptions
from monitor.tasks import is_cancelled

logger = logging.getLogger(__name__)

OVER_LIMIT = 4429  # the close code when a replay is larger than the caller's allowance
_FAILED = 1011  # the close code when the server is at fault


def routes(hub: Hub, gate: Gate, database: Database) -> list[WebSocketRoute]:
    """The WebSocket `/ws`."""

    async def live(socket: WebSocket) -> None:
        offered = socket.scope["subprotocols"]
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        query, error = _read_query(socket)
        wire = socket.scope["extensions"]["websocket.frames"]
        with hub.join(wire, query.name) as subscriber:
            wire.on_writable, wire.on_lost = subscriber.set_writable, subscriber.leave
            await LiveSocket(
                hub=hub, gate=gate, database=database, socket=socket, subscriber=subscriber
            ).run(query, error)

    return [WebSocketRoute("/ws", live, middleware=gate.guard("/ws", "WS"))]


def declare(api: Api, hub: Hub) -> None:
    """Declares the presence of a class."""

    @api.operation("GET", "/classes/{class_id}/presence")
    async def get_presence(class_id: Id) -> Attendance:
        """Who is connected to the class's channel, at any replica; at most some seconds old."""
        return hub.presence.of(f"class:{class_id}")


def _read_query(socket: WebSocket) -> tuple[SocketQuery, Error | None]:
    try:
        return msgspec.convert(dict(socket.query_params), SocketQuery, strict=False), None
    except msgspec.ValidationError as error:
        return SocketQuery(), Error("invalid_query", str(error))


class LiveSocket:
    """One client: takes its commands, sends its messages."""

    def __init__(
        self,
        *,
        hub: Hub,
        gate: Gate,
        database: Database,
        socket: WebSocket,
        subscriber: Subscriber,
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._database = database
        self._socket = socket
        self._call: Call = socket.scope["call"]
        self._subscriber = subscriber
        self._subscriptions = Subscriptions(hub, subscriber)
        self._all: list[str] = []  # its channels while it has named none
        self._all_since = 0

    async def run(self, query: SocketQuery, error: Error | None) -> None:
        """Serves the client until it disconnects."""
        if error:
            self._reply("error", error)
        watch = asyncio.create_task(self._watch())
        try:
            await self._serve(query)
        finally:
            watch.cancel()

    async def _serve(self, query: SocketQuery) -> None:
        channels = [name for name in query.channels.split(",") if name]
        await self._act(Command("subscribe", channels, query.since or None, query.coalesce))
        if self._hub.stale:
            self._reply("stale", Stale())
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            await self._obey(message.get("text") or message.get("bytes") or b"")

    async def _watch(self) -> None:
        """Closes the socket when its credential expires, or can't be checked any more."""
        try:
            await self._recheck()
        except Unauthenticated as error:
            self._drop(ENDED, str(error))
        except (Unavailable, OverLimit) as error:
            logger.info("A WebSocket ends: its credential can't be checked. %s", error)
            self._drop(_FAILED, "The credential can't be checked now")
        except (Exception, asyncio.CancelledError):
            if is_cancelled():  # the client has disconnected
                raise
            # An unwatched socket would go on after its credential was revoked.
            logger.exception("The credential of a WebSocket could not be checked")
            self._drop(_FAILED, "The credential could not be checked")

    async def _recheck(self) -> NoReturn:
        """Ends subscriptions the client may not keep.

        Raises Unauthenticated, and as a call would Unavailable and OverLimit, when it could not be
        asked for a while whether the credential is still valid.
        """
        while True:
            left = self._call.principal.expires - time.time()
            await asyncio.sleep(max(0.0, min(left, RECHECK_INTERVAL)))
            self._call.identify(await self._gate.caller(self._socket.scope))
            try:
                await self._review()
            except Unavailable:
                await asyncio.sleep(1.0)

    def _drop(self, code: int, reason: str) -> None:
        logger.debug("A socket is closed with %d", code)
        self._socket.scope["extensions"]["websocket.frames"].drop(code, reason)

    async def _review(self) -> None:
        """Ends subscriptions the client may not keep, and follows changes of classes."""
        subscriptions = self._subscriptions
        checked = await self._carriers(list(subscriptions.names))
        subscriptions.change(checked)
        refused = [name for name in checked.keys() & subscriptions.names if not checked[name]]
        subscriptions.remove(refused)
        for name in refused:
            self._reply("error", Error.of(refusal(name)))

    async def _carriers(self, names: list[str]) -> Carriers:
        return await carriers(self._call.principal, names, self._database)

    async def _permitted(self, names: list[str]) -> Carriers:
        """What carries these channels. Raises Forbidden, naming the first that is not for them."""
        checked = await self._carriers(names)
        for name, carried in checked.items():
            if not carried:
                raise refusal(name)
        return checked

    async def _obey(self, frame: str | bytes) -> None:
        try:
            for allowance in self._call.allowances:
                allowance.ask()
        except OverLimit as error:
            await self._refuse(Error.of(error))
            return
        command = read_command(frame)
        if isinstance(command, Error):
            await self._refuse(command)
        else:
            await self._act(command)

    async def _refuse(self, error: Error) -> None:
        self._reply("error", error)
        await asyncio.sleep(0)  # a frame may have many more

    async def _act(self, command: Command) -> None:
        if wrong := what_is_wrong(command.channels, self._subscriptions.names):
            await self._refuse(wrong)
            return
        channels = list(dict.fromkeys(command.channels))
        cursor = StreamPosition.parse(command.since) if command.since is not None else None
        if cursor and command.action == "subscribe":
            await self._hub.catch_up(cursor)
        try:
            async with self._hub.commands.turn(self._call.payer):
                replay = await self._do(command, channels, cursor)
                await asyncio.sleep(0)  # the turn lasts as long: a caller's next command waits
            if replay:
                await self._replay(replay)
        except (Forbidden, Unavailable) as error:
            if isinstance(error, Forbidden):
                self._gate.note_refusal(self._socket.scope, str(error))
            self._reply("error", Error.of(error))

    async def _do(
        self, command: Command, channels: list[str], cursor: StreamPosition | None
    ) -> Replay | None:
        """Obeys a command. Returns what has to be replayed for it."""
        match command.action:
            case "ping":
                self._reply("pong", Pong())
            case "presence":
                await self._permitted(channels)
                for channel in channels:
                    self._reply("presence", self._hub.presence.of(channel), channel)
            case "unsubscribe":
                self._subscriptions.remove(channels)
                self._reply("unsubscribed", Unsubscribed(channels))
            case "subscribe":
                permitted = await self._permitted(channels)
                if command.coalesce is not None:
                    self._subscriber.coalesce(command.coalesce / 1000)
                return await self._subscribe(permitted, command.since, cursor)
        return None

    async def _subscribe(
        self, channels: Carriers, since: str | None, cursor: StreamPosition | None
    ) -> Replay | None:
        """Without channels: subscribes to all of the caller's until the client names some.

        With a cursor that is covered only once what is returned has been replayed.
        """
        history, subscriptions = self._hub.history, self._subscriptions
        wanted = channels or plain(await all_of(self._call.principal, self._database))
        delivered = range(self._all_since, history.position) if self._all else range(0)
        subscriptions.remove(self._all)
        names = list(wanted)
        self._all, self._all_since = [] if channels else names, history.position
        recovered = since is None or (cursor is not None and history.covers(cursor))
        # Its own position again, until it has received what it missed.
        self._reply("subscribed", Subscribed(names, recovered), place=since if recovered else None)
        logger.debug("A socket subscribed to %d channels, recovered: %s", len(names), recovered)
        if cursor is None or not recovered:
            subscriptions.put(wanted)
            return None
        subscriptions.replay(wanted)
        self._subscriber.hold()
        return Replay(cursor, self._subscriber.channels, delivered)

    async def _replay(self, replay: Replay) -> None:
        try:
            await self._hub.replays.send(
                self._subscriber,
                replay,
                caller=self._call.payer,
                channels=self._subscriptions.replayed,
                charge=self._charge,
                finish=self._subscriptions.put_replayed,
            )
        except OverLimit as error:
            self._drop(OVER_LIMIT, str(error))
        except Missed:
            self._drop(SLOW, "slow")
        finally:
            self._subscriber.release()

    def _charge(self, messages: int, size: int) -> None:
        """Counts messages of a replay like events that the caller sends. Raises OverLimit."""
        for allowance in self._call.allowances:
            allowance.spend(messages, size)

    def _reply(
        self, event: str, data: msgspec.Struct, channel: str | None = None, place: str | None = None
    ) -> None:
        self._hub.reply(self._subscriber, event, data, channel, place)
