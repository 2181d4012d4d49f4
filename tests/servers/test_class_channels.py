"""Channels by class: two teachers, three classes, and a student of all of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.lms import create, create_class, unique
from tests.support.replicas import Listener, Replica
from tests.support.tokens import client, token

CLASSES = ("algebra", "geometry", "physics")
TEACHER_OF = {"algebra": "ann", "geometry": "ann", "physics": "bob"}
CHANNELS = (
    *(f"{kind}:{{{name}}}" for kind in ("class", "notices") for name in CLASSES),
    "progress:{hanako}",
    "notifications:{hanako}",
    "progress:*",
    "*",
)

# Whose events each caller gets from a channel; channels without a line are refused.
CARRIED: dict[str, dict[str, tuple[str, ...]]] = {
    "ann": {
        "class:{algebra}": ("algebra",),
        "class:{geometry}": ("geometry",),
        "notices:{algebra}": (),
        "notices:{geometry}": (),
        "progress:{hanako}": ("algebra", "geometry"),
    },
    "bob": {
        "class:{physics}": ("physics",),
        "notices:{physics}": (),
        "progress:{hanako}": ("physics",),
    },
    "hanako": {
        **{f"notices:{{{name}}}": () for name in CLASSES},
        "progress:{hanako}": (*CLASSES, "none"),
        "notifications:{hanako}": (),
    },
    "root": {
        **{f"class:{{{name}}}": (name,) for name in CLASSES},
        **{f"notices:{{{name}}}": () for name in CLASSES},
        "progress:{hanako}": (*CLASSES, "none"),
        "notifications:{hanako}": (),
        "progress:*": (*CLASSES, "none"),
        "*": (*CLASSES, "none"),
    },
}
ROLES = {"ann": "instructor", "bob": "instructor", "hanako": "student", "root": "admin"}


class School:
    """Each class has its key; `names` has everybody's user_id, and the classes' ids."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.names: dict[str, Any] = {name: unique(name) for name in ("ann", "bob", "hanako")}
        self.names["root"] = "root"
        self.keys: dict[str, str] = {}

    async def open(self) -> None:
        for name in CLASSES:
            async with self.api(TEACHER_OF[name]) as api:
                self.names[name] = class_id = (await create_class(api))["id"]
                await create(api, f"/classes/{class_id}/students", user_id=self.names["hanako"])
                key = await create(api, "/ingest-keys", name="x", class_id=class_id)
                self.keys[name] = key["key"]
        async with self.api("root") as api:
            self.keys["none"] = (await create(api, "/ingest-keys", name="x"))["key"]

    def api(self, caller: str) -> httpx.AsyncClient:
        return client(self.replica.url, token(self.names[caller], ROLES[caller]))

    async def post(self, student: str | None = None) -> None:
        """An event of hanako, or of another student, in each class and in none."""
        async with client(self.replica.url, None) as api:
            for name, key in self.keys.items():
                event = {
                    "eventType": "cell_executed",
                    "userId": student or self.names["hanako"],
                    "notebookPath": f"{name}.ipynb",
                    "cellId": f"cell of {name}",
                    "userName": f"hanako in {name}",
                }
                # Of hanako's three classes none is the only one: a key of no class leaves it open.
                answer = await api.post("/events", json=[event], params={"key": key})
                assert answer.json()["stored"] == 1

    @asynccontextmanager
    async def listening(
        self, caller: str, *channels: str, since: str = ""
    ) -> AsyncIterator[Listener]:
        protocols: Any = ["cell-monitor", f"bearer.{token(self.names[caller], ROLES[caller])}"]
        names = ",".join(self.filled(channel) for channel in channels)
        url = f"ws://127.0.0.1:{self.replica.port}/ws?channels={names}&since={since}"
        async with connect(url, proxy=None, subprotocols=protocols) as socket:
            yield Listener(socket)

    def filled(self, channel: str) -> str:
        return channel.format(**self.names)


async def received(listener: Listener) -> list[dict[str, Any]]:
    """The messages about hanako until nothing comes any more."""
    messages = []
    try:
        while True:
            messages.append(await listener.next(0.3))
    except TimeoutError:
        return messages


def classes_of(messages: list[dict[str, Any]]) -> list[str]:
    return [each["data"]["notebookPath"].removesuffix(".ipynb") for each in messages]


@pytest.fixture
async def a_school(guarded_school: Replica) -> School:
    school = School(guarded_school)
    await school.open()
    return school


@pytest.mark.parametrize("caller", CARRIED)
async def test_a_channel_carries_the_classes_of_its_caller(a_school: School, caller: str) -> None:
    async with a_school.listening("root", "broadcast") as listener:
        since = (await listener.next())["id"]

    async def check(channel: str, from_history: bool) -> None:
        expected = CARRIED[caller].get(channel)
        place = since if from_history else ""
        async with a_school.listening(caller, channel, since=place) as listener:
            answer = await listener.next()
            if expected is None:
                assert answer["data"]["code"] == "forbidden", channel
                assert await listener.silent(), channel
                return
            assert answer["event"] == "subscribed", channel
            assert answer["data"]["channels"] == [a_school.filled(channel)]
            ready.release()
            if not from_history:
                await posted.wait()
            messages = await received(listener)
            hanako = f"progress:{a_school.names['hanako']}"
            mine = [each for each in messages if each["channel"] == hanako]
            assert tuple(classes_of(mine)) == expected, (channel, messages)
            for each, name in zip(mine, expected, strict=True):
                class_id = a_school.names.get(name)
                assert each["data"]["classId"] == class_id
                assert each["data"]["executions"] == 1
                assert "@" not in each["channel"]

    ready, posted = asyncio.Semaphore(0), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for channel in CHANNELS:
            tasks.create_task(check(channel, from_history=False))
        for _ in CARRIED[caller]:
            await ready.acquire()
        await a_school.post()
        posted.set()
    for channel in CHANNELS:
        await check(channel, from_history=True)


async def test_no_client_can_name_the_channel_of_a_class_and_a_student(a_school: School) -> None:
    name = "{physics}@progress:{hanako}"
    for caller in ("ann", "bob", "hanako"):
        async with a_school.listening(caller, name) as listener:
            assert (await listener.next())["data"]["code"] == "forbidden"
    hanako = a_school.names["hanako"]
    for imitator in (name, f"{hanako}@{a_school.names['physics']}"):
        a_school.names["hanako"] = imitator.format(**a_school.names)
        async with a_school.listening("hanako", "progress:{hanako}") as listener:
            assert (await listener.next())["event"] == "subscribed"
            await a_school.post(hanako)
            assert await listener.silent()


async def test_one_leaves_a_channel_by_the_name_that_one_gave(a_school: School) -> None:
    name = f"progress:{a_school.names['hanako']}"
    async with a_school.listening("ann", "progress:{hanako}", "broadcast") as listener:
        await listener.next()
        encoded = name.replace("h", "%68", 1)  # the same channel under another name
        answer = await listener.send(action="subscribe", channels=[encoded])
        assert answer["data"]["channels"] == [encoded]
        answer = await listener.send(action="unsubscribe", channels=[name])
        assert (answer["event"], answer["data"]["channels"]) == ("unsubscribed", [name])
        await a_school.post()
        assert classes_of(await received(listener)) == ["algebra", "geometry"]
        await listener.send(action="unsubscribe", channels=[encoded])
        await a_school.post()
        assert await listener.silent()


async def test_an_open_socket_follows_the_rosters(a_school: School) -> None:
    """The channel goes on under its name while a class is added and another one taken away."""
    a_school.names["taro"] = unique("taro")
    rosters = {name: f"/classes/{a_school.names[name]}/students" for name in CLASSES}
    async with a_school.api("root") as api:
        taro = await create(api, rosters["physics"], user_id=a_school.names["taro"])
        (hanako,) = (
            await api.get("/students", params={"user_id": a_school.names["hanako"]})
        ).json()
        async with (
            a_school.listening("ann", "progress:{hanako}") as ann,
            a_school.listening("bob", "progress:{hanako}", "progress:{taro}") as bob,
        ):
            await ann.next()
            await bob.next()
            await api.delete(f"{rosters['geometry']}/{hanako['id']}")
            await api.delete(f"{rosters['physics']}/{taro['student_id']}")
            body = {"user_id": a_school.names["bob"], "role": "assistant"}
            await create(api, rosters["algebra"], **body)
            error = await bob.next(25)  # seconds: open sockets are checked every 20, ann's first
            assert error["data"]["code"] == "forbidden"
            assert a_school.names["taro"] in error["data"]["message"]
            await a_school.post()
            assert classes_of(await received(ann)) == ["algebra"]
            assert classes_of(await received(bob)) == ["algebra", "physics"]
