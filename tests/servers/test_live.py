"""The protocol of `/ws` as docs/live.md has it, against a running server."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.events import event, post
from tests.support.network import cuttable_link
from tests.support.paths import ROOT
from tests.support.programs import find_node
from tests.support.replicas import Listener, Replica
from tests.support.waiting import eventually

DOCS = ROOT / "docs"


async def shown(listener: Listener, count: int) -> list[str]:
    return [(await listener.next())["data"]["eventId"] for _ in range(count)]


async def post_some(replica: Replica, count: int, **fields: Any) -> list[str]:
    events = [event(**fields) for _ in range(count)]
    assert (await post(replica, *events)).json()["stored"] == count
    return [each["eventId"] for each in events]


async def test_reconnected_client_gets_missed_messages_once(
    replica: Replica,
) -> None:
    async with replica.listen("?channels=progress:hanako") as dashboard:
        first = await post_some(replica, 3)
        messages = [await dashboard.next() for _ in first]
    missed = first[1:] + await post_some(replica, 2) + await post_some(replica, 1)
    await post_some(replica, 1, userId="taro")
    query = f"?channels=progress:hanako&since={messages[0]['id']}"
    async with replica.listen(query) as dashboard:
        assert dashboard.subscribed["data"]["recovered"] is True
        assert dashboard.subscribed["id"] == messages[0]["id"]
        assert await shown(dashboard, len(missed)) == missed
        later = await post_some(replica, 1)
        assert await shown(dashboard, 1) == later
        assert await dashboard.silent()


async def test_a_replay_that_breaks_off_goes_on_where_it_broke_off(replica: Replica) -> None:
    async with replica.listen() as dashboard:
        since = dashboard.subscribed["id"]
    sent = await post_some(replica, 6)
    got: list[str] = []
    for _ in range(3):
        async with replica.listen(f"?since={since}") as dashboard:
            for _ in range(2):
                message = await dashboard.next()
                since = message["id"]
                got.append(message["data"]["eventId"])
    assert got == sent


async def test_late_since_does_not_replay_delivered_messages(
    replica: Replica,
) -> None:
    async with replica.listen() as dashboard:
        since = dashboard.subscribed["id"]
    missed = await post_some(replica, 2)
    async with replica.listen() as dashboard:
        heard = await post_some(replica, 1)
        assert await shown(dashboard, 1) == heard
        answer = await dashboard.send(action="subscribe", channels=["progress:*"], since=since)
        assert answer["data"]["recovered"] is True
        assert await shown(dashboard, 2) == missed
        assert await dashboard.silent()


async def test_history_is_bounded_and_who_comes_too_late_is_told(
    environment: dict[str, str],
) -> None:
    with Replica(environment | {"HISTORY_MAX_MESSAGES": "3"}) as replica:
        async with replica.listen() as dashboard:
            await post_some(replica, 1)
            since = (await dashboard.next())["id"]
            for _ in range(3):
                await post_some(replica, 1)
            kept = [await dashboard.next() for _ in range(3)]
            await post_some(replica, 1)
        async with replica.listen(f"?since={since}") as dashboard:
            assert dashboard.subscribed["data"]["recovered"] is False
            assert dashboard.subscribed["id"] != since
            assert await dashboard.silent()
        async with replica.listen(f"?since={kept[0]['id']}") as dashboard:
            assert dashboard.subscribed["data"]["recovered"] is True
            assert await shown(dashboard, 2) == [each["data"]["eventId"] for each in kept[1:]]


async def test_a_cursor_from_before_a_restart_is_not_recovered(replica: Replica) -> None:
    async with replica.listen() as dashboard:
        quiet = dashboard.subscribed["id"]
        await post_some(replica, 1)
        busy = (await dashboard.next())["id"]
    replica.stop()
    replica.start()
    for since in (quiet, busy, "nonsense", "1.2.3", "-"):
        async with replica.listen(f"?since={since}") as dashboard:
            assert dashboard.subscribed["data"]["recovered"] is False


async def test_a_client_may_have_several_messages_to_a_frame(replica: Replica) -> None:
    url = f"ws://127.0.0.1:{replica.port}/ws?coalesce=200"
    async with connect(url, proxy=None) as busy, replica.listen() as other:
        sent = [each for _ in range(3) for each in await post_some(replica, 5)]
        assert await shown(other, 15) == sent
        frames: list[list[dict[str, Any]]] = []
        while sum(map(len, frames)) < 16:
            frames.append(json.loads(await asyncio.wait_for(busy.recv(), 5)))
        first, *messages = [message for frame in frames for message in frame]
        assert first["event"] == "subscribed"
        assert [message["data"]["eventId"] for message in messages] == sent
        assert len(frames) < 10
        await busy.send(json.dumps({"action": "subscribe", "channels": ["x"], "coalesce": 0}))
        assert json.loads(await asyncio.wait_for(busy.recv(), 5))["event"] == "subscribed"


async def test_presence_counts_the_sockets_of_a_class(replica: Replica) -> None:
    async def present() -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{replica.url}/api/v1/classes/7/presence")).json()

    assert await present() == {"count": 0, "members": []}
    async with (
        replica.listen("?channels=class:7&name=花子") as one,
        replica.listen("?channels=class:7,progress:x&name=花子"),
        replica.listen("?channels=class:7"),
        replica.listen("?channels=class:8&name=太郎"),
    ):
        expected = {
            "count": 3,
            "members": [{"name": None, "sockets": 1}, {"name": "花子", "sockets": 2}],
        }
        assert await present() == expected
        answer = await one.send(action="presence", channels=["class:7"])
        assert (answer["event"], answer["channel"]) == ("presence", "class:7")
        assert answer["data"] == expected
        await one.send(action="unsubscribe", channels=["class:7"])
        assert (await present())["count"] == 2


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "invalid_json"),
        (b"\xff", "invalid_json"),
        ("[]", "invalid_command"),
        ('{"action": "dance"}', "invalid_command"),
        ('{"action": "subscribe", "channels": "class:7"}', "invalid_command"),
        ('{"action": "subscribe", "channels": ["x"], "coalesce": 10001}', "invalid_command"),
        (json.dumps({"action": "subscribe", "channels": ["x" * 2001]}), "invalid_channel"),
        (
            json.dumps({"action": "subscribe", "channels": [str(n) for n in range(1001)]}),
            "too_many_channels",
        ),
        (
            json.dumps({"action": "presence", "channels": [str(n) for n in range(1001)]}),
            "too_many_channels",
        ),
    ],
)
async def test_an_error_has_a_name_and_the_connection_lives(
    shared_replica: Replica, frame: str | bytes, code: str
) -> None:
    async with shared_replica.listen("?channels=progress:nobody") as client:
        await client.socket.send(frame)
        error = await client.next()
        assert (error["event"], error["data"]["code"]) == ("error", code)
        assert error["data"]["message"]
        assert (await client.send(action="ping"))["event"] == "pong"


@pytest.mark.parametrize("query", ["coalesce=soon", "coalesce=10001", f"name={'x' * 201}"])
async def test_a_query_that_makes_no_sense_is_named_and_left_aside(
    shared_replica: Replica, query: str
) -> None:
    async with connect(f"ws://127.0.0.1:{shared_replica.port}/ws?{query}", proxy=None) as client:
        listener = Listener(client)
        assert (await listener.next())["data"]["code"] == "invalid_query"
        assert (await listener.next())["event"] == "subscribed"


async def test_a_frame_that_is_too_large_closes_the_connection(shared_replica: Replica) -> None:
    async with shared_replica.listen("?channels=progress:nobody") as client:
        await client.socket.send("x" * (64 * 1024 + 1))
        with pytest.raises(ConnectionClosed):
            await client.next()
        assert client.socket.close_code == 1009


async def test_text_that_is_not_utf_8_closes_the_connection(shared_replica: Replica) -> None:
    async with shared_replica.listen("?channels=progress:nobody") as client:
        await client.socket.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed):
            await client.next()
        assert client.socket.close_code == 1007


def mute(port: int) -> socket.socket:
    """A client that has joined, and reads nothing from then on."""
    raw = socket.create_connection(("127.0.0.1", port))
    raw.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert raw.recv(1024).startswith(b"HTTP/1.1 101")
    return raw


async def sockets(replica: Replica) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{replica.url}/health")).json()["sockets"])


async def has_sockets(replica: Replica, count: int, seconds: float = 10) -> None:
    async def so_many() -> bool:
        return await sockets(replica) == count

    await eventually(so_many, within=seconds)


async def test_client_that_reads_nothing_is_disconnected(
    environment: dict[str, str],
) -> None:
    with Replica(environment | {"SOCKET_MAX_PENDING": "100"}) as replica:
        async with replica.listen() as other:
            with mute(replica.port):
                for _ in range(20):
                    sent = await post_some(replica, 50, notebookPath="x" * 500)
                    assert await shown(other, 50) == sent
                await has_sockets(replica, 1)


async def test_a_slow_client_is_told_so_and_recovers(environment: dict[str, str]) -> None:
    with Replica(environment | {"SOCKET_MAX_PENDING": "100"}) as replica:
        url = f"ws://127.0.0.1:{replica.port}/ws"
        async with connect(url, proxy=None, max_queue=1) as slow, replica.listen() as other:
            sent: list[str] = []
            while await sockets(replica) == 2:
                sent += await post_some(replica, 50, notebookPath="x" * 500)
                await shown(other, 50)
                assert len(sent) < 10_000
            _, *got = [json.loads(text) async for text in read_all(slow)]
            assert (slow.close_code, slow.close_reason) == (3008, "slow")
            async with replica.listen(f"?since={got[-1]['id']}") as back:
                assert back.subscribed["data"]["recovered"] is True
                ids = [message["data"]["eventId"] for message in got]
                assert ids + await shown(back, len(sent) - len(ids)) == sent
                assert await back.silent()


async def read_all(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def test_a_peer_that_answers_no_ping_is_gone(replica: Replica) -> None:
    with mute(replica.port):
        await has_sockets(replica, 1)
        await has_sockets(replica, 0, 40)


@asynccontextmanager
async def running(example: Path, url: str) -> AsyncIterator[asyncio.StreamReader]:
    program = sys.executable if example.suffix == ".py" else find_node()
    process = await asyncio.create_subprocess_exec(
        program, example, url, "progress:hanako", "broadcast", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "name", ["follow.py", pytest.param("follow.mjs", marks=pytest.mark.needs("node"))]
)
async def test_the_examples_show_all_once_over_a_broken_connection(
    replica: Replica, name: str
) -> None:
    async def lines(output: asyncio.StreamReader, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            return [json.loads(await output.readline()) for _ in range(count)]

    async with (
        cuttable_link(replica.port) as network,
        running(DOCS / name, f"ws://127.0.0.1:{network.port}/ws") as output,
    ):
        await has_sockets(replica, 1)
        sent = await post_some(replica, 2)
        got = await lines(output, 2)
        await network.cut()
        sent += await post_some(replica, 3)
        await network.restore()
        got += await lines(output, 3)
        sent += await post_some(replica, 1)
        got += await lines(output, 1)
        assert [message["data"]["eventId"] for message in got] == sent
        replica.stop()
        replica.start()
        (subscribed,) = await lines(output, 1)
        assert (subscribed["event"], subscribed["data"]["recovered"]) == ("subscribed", False)
        assert network.connections >= 3
