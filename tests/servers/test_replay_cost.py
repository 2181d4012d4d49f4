"""What a socket may cost the others: replays, commands, and frames that are no commands."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.support.events import event, post
from tests.support.fixtures import replica_fixture
from tests.support.replicas import Listener, Replica
from tests.support.tokens import SECRET, bearer, subprotocols, token

QUICK = 2.5  # seconds; a replay that read the whole history for each command took 10
MANY = 2_000  # commands

guarded = replica_fixture("module", JWT_SECRET=SECRET)
counting = replica_fixture("module", JWT_SECRET=SECRET, MINUTE_EVENTS="5000")


@asynccontextmanager
async def listening(
    replica: Replica, credential: str, query: str = "", address: str = "127.0.0.1"
) -> AsyncIterator[Listener]:
    url = f"ws://127.0.0.1:{replica.port}/ws{query}"
    protocols = subprotocols(credential)
    async with connect(url, proxy=None, subprotocols=protocols, local_addr=(address, 0)) as socket:
        listener = Listener(socket)
        listener.subscribed = await listener.next()
        yield listener


async def fill(replica: Replica, batches: int = 10) -> None:
    """Messages of others, in the history."""
    for number in range(batches):
        events = [event(userId=f"other-{each % 40}") for each in range(1_000)]
        answer = await post(replica, *events)
        assert answer.json()["stored"] == 1_000, number


async def slowest_probe(replica: Replica, work: asyncio.Task[Any]) -> float:
    """Seconds: how long `/health/live` took at most while this was done."""
    slowest = 0.0
    async with httpx.AsyncClient(base_url=replica.url, timeout=30) as api:
        while not work.done():
            started = time.monotonic()
            assert (await api.get("/health/live")).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
    await work
    return slowest


def write(socket: ClientConnection, frames: Iterable[Frame]) -> None:
    """Writes frames in as few segments as there can be."""
    socket.transport.write(b"".join(each.serialize(mask=True) for each in frames))


def commands(count: int, **command: Any) -> list[Frame]:
    return [Frame(Opcode.TEXT, json.dumps(command).encode())] * count


async def test_many_replays_of_nothing_hold_up_nobody(replica: Replica) -> None:
    async with replica.listen("?channels=progress:hanako") as listener:
        since = listener.subscribed["id"]
        await fill(replica)
        frames = commands(MANY, action="subscribe", channels=["progress:hanako"], since=since)

        async def replay() -> None:
            write(listener.socket, frames)
            answers = await listener.read(MANY)
            assert all(each["data"]["recovered"] is True for each in answers)

        assert await slowest_probe(replica, asyncio.create_task(replay())) < QUICK


async def test_a_replay_of_everything_lets_others_through(replica: Replica) -> None:
    async with replica.listen("?channels=progress:*") as listener:
        since = listener.subscribed["id"]
    await fill(replica)

    async def replay() -> list[str]:
        async with replica.listen(f"?channels=progress:*&since={since}") as listener:
            return [each["data"]["eventId"] for each in await listener.read(10_000)]

    replays = asyncio.gather(*(replay() for _ in range(3)))
    assert await slowest_probe(replica, asyncio.ensure_future(replays)) < QUICK
    one, *others = replays.result()
    assert len(set(one)) == 10_000
    assert others == [one, one]


async def test_what_is_published_during_a_replay_follows_it_once(replica: Replica) -> None:
    async with replica.listen("?channels=progress:*") as listener:
        since = listener.subscribed["id"]
    await fill(replica, 3)
    async with replica.listen(f"?channels=progress:*&since={since}") as listener:
        posting = asyncio.create_task(fill(replica, 3))
        ids = [each["data"]["eventId"] for each in await listener.read(6_000)]
        await posting
        assert len(set(ids)) == 6_000
        assert await listener.silent()


async def test_who_reads_nothing_delays_no_other_replay(replica: Replica) -> None:
    async with replica.listen("?channels=progress:*") as listener:
        since = listener.subscribed["id"]
    await fill(replica)
    query = f"?channels=progress:*&since={since}"
    url = f"ws://127.0.0.1:{replica.port}/ws{query}"
    async with connect(url, proxy=None, max_queue=1), replica.listen(query) as listener:
        await listener.read(10_000)


async def test_a_replay_is_charged_to_its_caller(counting: Replica) -> None:
    hanako, taro = token("hanako"), token("taro")
    async with listening(counting, hanako, address="127.0.0.2") as listener:
        since = listener.subscribed["id"]
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.3")
    async with httpx.AsyncClient(
        transport=transport, headers=bearer(token("root", "admin"))
    ) as api:
        events = [event() for _ in range(300)]
        assert (await api.post(counting.events_url, json=events)).status_code == 202
    query = f"?channels=progress:hanako&since={since}"
    async with listening(counting, hanako, query, "127.0.0.4") as listener:
        for _ in range(300):
            await listener.next()
    async with listening(counting, hanako, query, "127.0.0.5") as listener:
        received = 0
        with suppress(ConnectionClosed):
            while True:
                await listener.next()
                received += 1
        assert received < 300
        assert listener.socket.close_code == 4429
        assert "a minute" in (listener.socket.close_reason or "")
    async with listening(counting, taro, "?channels=progress:taro", "127.0.0.6") as listener:
        assert (await listener.send(action="ping"))["event"] == "pong"


@pytest.mark.parametrize("name", ["progress:\0", "progress:a%00b", "class:\0", "notifications:\0"])
@pytest.mark.parametrize("role", ["student", "instructor", "admin"])
async def test_a_channel_with_nul_is_refused(guarded: Replica, role: str, name: str) -> None:
    async with listening(guarded, token("hanako", role), "?channels=broadcast") as listener:
        for action in ("subscribe", "presence"):
            answer = await listener.send(action=action, channels=[name])
            assert answer["event"] == "error"
            assert answer["data"]["code"] in ("invalid_channel", "forbidden"), answer
        assert (await listener.send(action="ping"))["event"] == "pong"
    async with listening(guarded, token("hanako", role), f"?channels={quote(name)}") as listener:
        assert listener.subscribed["event"] == "error"
    assert "Traceback" not in guarded.output()


@pytest.mark.parametrize("text", [rb"\ud800", rb"\udc00\ud800", b"\xed\xa0\x80", b"\xff"])
async def test_text_that_is_no_unicode_leaves_no_traceback(guarded: Replica, text: bytes) -> None:
    for opcode in (Opcode.TEXT, Opcode.BINARY):
        async with listening(guarded, token("hanako"), "?channels=broadcast") as listener:
            frame = b'{"action": "subscribe", "channels": ["progress:%b"]}' % text
            write(listener.socket, [Frame(opcode, frame)])
            if opcode is Opcode.TEXT and not text.isascii():
                await listener.socket.wait_closed()
                assert listener.socket.close_code == 1007
            else:
                assert (await listener.next())["data"]["code"] == "invalid_json"
    assert "Traceback" not in guarded.output()
    assert "Invalid UTF-8" not in guarded.output()


@pytest.mark.parametrize(
    "frames",
    [[Frame(Opcode.TEXT, b"")] * 40_000, commands(20_000, action="ping")],
    ids=["empty", "pings of the protocol"],
)
async def test_many_commands_hold_up_nobody(replica: Replica, frames: list[Frame]) -> None:
    async with replica.listen("?channels=broadcast") as listener:

        async def send() -> None:
            write(listener.socket, frames)
            with suppress(ConnectionClosed):  # its own pings may wait too long behind them
                for _ in frames:
                    await listener.next(within=30)

        assert await slowest_probe(replica, asyncio.create_task(send())) < QUICK


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(Opcode.PING, b"")] * 100_000,
        [Frame(Opcode.PONG, b"")] * 100_000,
        [Frame(Opcode.TEXT, b"", fin=False)] + [Frame(Opcode.CONT, b"", fin=False)] * 100_000,
    ],
    ids=["ping", "pong", "continuation"],
)
async def test_who_floods_with_small_frames_is_disconnected(
    replica: Replica, frames: list[Frame]
) -> None:
    async with replica.listen("?channels=broadcast") as listener:
        write(listener.socket, frames)
        waiting = asyncio.create_task(listener.socket.wait_closed())
        assert await slowest_probe(replica, waiting) < QUICK
        assert listener.socket.close_code == 1008


@pytest.mark.parametrize(
    ("frame", "code"), [(b"x" * 70_000, 1009), (b"\xff", 1007)], ids=["too large", "no text"]
)
async def test_who_sends_what_is_not_taken_learns_why(
    replica: Replica, frame: bytes, code: int
) -> None:
    async with replica.listen("?channels=broadcast") as listener:
        listener.socket.transport.pause_reading()
        write(listener.socket, [Frame(Opcode.TEXT, frame)])
        for _ in range(3):
            await asyncio.sleep(0.2)
            write(listener.socket, [Frame(Opcode.PONG, b"")])
        listener.socket.transport.resume_reading()
        await asyncio.wait_for(listener.socket.wait_closed(), 5)
        assert listener.socket.close_code == code


async def test_who_is_sending_while_the_socket_is_closed_learns_why(replica: Replica) -> None:
    async with replica.listen("?channels=broadcast") as listener:
        listener.socket.transport.pause_reading()
        write(listener.socket, [Frame(Opcode.PING, b"")] * 201)
        for _ in range(3):
            await asyncio.sleep(0.2)
            write(listener.socket, [Frame(Opcode.PONG, b"")])
        listener.socket.transport.resume_reading()
        await asyncio.wait_for(listener.socket.wait_closed(), 5)
        assert listener.socket.close_code == 1008


async def test_a_message_may_come_in_pieces(replica: Replica) -> None:
    async with replica.listen("?channels=broadcast") as listener:
        await listener.socket.send([*'{"action": "ping", "channels": ["花子"]}'])
        assert (await listener.next())["event"] == "pong"
        await listener.socket.send([b'{"action":', b' "ping"}'])
        assert (await listener.next())["event"] == "pong"
        await asyncio.wait_for(await listener.socket.ping(), 5)
