"""A class at work beside the attacker: its students post, hand in, and a teacher watches them."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.chaos.extension import TIMEOUT, EventFields, Extension, Journal, event
from tests.noisy.school import ATTACKER, HOME, ROUTER, TEACHER, School
from tests.support.lms import notebook
from tests.support.tokens import bearer, token

POST_PAUSE = (1.0, 2.0)  # seconds between two events of a student
HAND_IN_PAUSE = 2.0  # seconds between two hand-ins of the class
READ_PAUSE = 0.5  # seconds between two views of the teacher
CELLS = 30  # of a notebook that is handed in


class Data(msgspec.Struct, rename="camel"):
    """What a message says: the event and its student, where it is about one."""

    event_id: uuid.UUID | None = None
    user_id: str | None = None


class Message(msgspec.Struct):
    """A message to the teacher's page."""

    event: str
    id: str
    data: Data


_FRAMES = msgspec.json.Decoder(list[Message])


class Answers(Journal):
    """Also when each event was sent, by `time.monotonic`, and how long it took (s)."""

    def __init__(self) -> None:
        super().__init__(prefix="student")
        self.sent_at: dict[uuid.UUID, float] = {}
        self.seconds: dict[uuid.UUID, float] = {}
        self.spooled = 0

    def note(self, events: Sequence[EventFields], bad: set[int], status: int, answer: Any) -> None:
        super().note(events, bad, status, answer)
        self.spooled += answer.get("spooled", 0)

    async def send(self, notebook: Extension, fields: EventFields) -> None:
        """An event: its time includes that of the tries that failed."""
        event_id, began = uuid.UUID(fields["eventId"]), time.monotonic()
        self.sent_at[event_id] = began
        await notebook.send(fields)
        self.seconds[event_id] = time.monotonic() - began


@dataclass
class Work:
    """What a class did: `live` is when the teacher's page got the message about an event.

    `refused` counts views and hand-ins that failed, by what was asked and the answer; `slowest` is
    the time that the slowest of each took.
    """

    answers: Answers = field(default_factory=Answers)
    live: dict[uuid.UUID, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)


class Classroom:
    """The students and the teacher, from `going_on` to its end.

    `new_credential` makes tokens of a second teacher, who has signed in at a Hub: one that the
    server knows from before, used at the school, and a new one for each call at home.
    """

    def __init__(self, school: School, new_credential: Callable[[], str] | None = None) -> None:
        self._school = school
        self._new_credential = new_credential
        self._credential = new_credential() if new_credential else ""
        self._api = f"{school.replica.url}/api/v1"
        self._subscribed = asyncio.Event()
        self.work = Work()

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        over = asyncio.Event()
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(_session(ROUTER))
            page = asyncio.create_task(self._watch())
            await asyncio.wait_for(self._subscribed.wait(), TIMEOUT)
            async with asyncio.TaskGroup() as tasks:
                for number, name in enumerate(self._school.classmates):
                    tasks.create_task(self._post(name, number, over))
                tasks.create_task(self._repeat(over, HAND_IN_PAUSE, self._hand_in, http))
                tasks.create_task(self._repeat(over, READ_PAUSE, self._read, http))
                if self._new_credential:
                    home = await stack.enter_async_context(_session(HOME))
                    tasks.create_task(self._repeat(over, READ_PAUSE, self._sign_in, home))
                    tasks.create_task(self._repeat(over, READ_PAUSE, self._stay, http))
                try:
                    yield
                finally:
                    over.set()
            await self._await_messages()
            page.cancel()

    async def _post(self, name: str, number: int, over: asyncio.Event) -> None:
        """A student runs cells."""
        own = self._school.own_tokens.get(name)
        url = f"{self._api}/events?key={own or self._school.key}"
        async with _session(ROUTER if own else f"127.0.1.{number + 1}") as http:
            extension = Extension(http, [url], self.work.answers)
            await asyncio.sleep(random.uniform(0, POST_PAUSE[0]))
            while not over.is_set():
                await self.work.answers.send(extension, event(name))
                await asyncio.sleep(random.uniform(*POST_PAUSE))

    async def _repeat(
        self,
        over: asyncio.Event,
        pause: float,
        once: Callable[[aiohttp.ClientSession, int], Awaitable[None]],
        http: aiohttp.ClientSession,
    ) -> None:
        number = 0
        while not over.is_set():
            await once(http, number)
            number += 1
            await asyncio.sleep(pause)

    async def _hand_in(self, http: aiohttp.ClientSession, number: int) -> None:
        """A classmate hands in a notebook of some 30 KB."""
        name = self._school.classmates[number % len(self._school.classmates)]
        sources = [f"print({cell})\n" * 80 for cell in range(CELLS)]
        body = {
            "assignment_id": self._school.assignment_id,
            "user_id": name,
            "notebook_content": notebook(*sources),
        }
        await self._ask(http, token(name), "POST", "/submissions", json=body)

    async def _read(self, http: aiohttp.ClientSession, number: int) -> None:
        """The teacher's page reads one of its views."""
        class_path = f"/classes/{self._school.class_id}"
        notebook_path = f"{class_path}/notebooks/{self._school.notebook_id}"
        views = [f"{class_path}/{name}" for name in ("now", "activity", "errors", "help")]
        views += [f"{notebook_path}/cells", f"{notebook_path}/students", f"{class_path}/students"]
        path = views[number % len(views)]
        await self._ask(http, token(TEACHER, "instructor"), "GET", path)

    async def _sign_in(self, http: aiohttp.ClientSession, _: int) -> None:
        """The second teacher reads with a token that the server hasn't seen."""
        assert self._new_credential
        await self._ask(http, self._new_credential(), "GET", "/classes")

    async def _stay(self, http: aiohttp.ClientSession, _: int) -> None:
        """The second teacher reads with the token that was verified before."""
        await self._ask(http, self._credential, "GET", "/classes")

    async def _ask(
        self, http: aiohttp.ClientSession, credential: str, method: str, path: str, **options: Any
    ) -> None:
        began = time.monotonic()
        what = f"{method} …/{path.rpartition('/')[2]}"
        try:
            url, headers = self._api + path, bearer(credential)
            async with http.request(method, url, headers=headers, **options) as answer:
                await answer.read()
            if answer.status >= 400:
                self.work.refused[f"{what} {answer.status}"] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.work.refused[f"{what} {type(error).__name__}"] += 1
        taken = time.monotonic() - began
        self.work.slowest[what] = max(taken, self.work.slowest.get(what, 0.0))

    async def _watch(self) -> None:
        """The teacher's page: it reconnects where it was, and gets the messages of 1 ms at once."""
        url = f"ws://127.0.0.1:{self._school.replica.port}/ws"
        url += f"?coalesce=1&channels=class:{self._school.class_id}"
        credential: Any = ["cell-monitor", f"bearer.{token(TEACHER, 'instructor')}"]
        since = ""
        while True:
            try:
                async with connect(url + since, proxy=None, subprotocols=credential) as socket:
                    while True:
                        messages = _FRAMES.decode(await socket.recv())
                        since = f"&since={messages[-1].id}"
                        self._receive(messages)
            except (ConnectionClosed, OSError, TimeoutError):
                await asyncio.sleep(0.5)

    def _receive(self, messages: list[Message]) -> None:
        now = time.monotonic()
        for message in messages:
            if message.event == "subscribed":
                self._subscribed.set()
            elif message.data.event_id and message.data.user_id != ATTACKER:
                self.work.live.setdefault(message.data.event_id, now)

    async def _await_messages(self) -> None:
        """Returns once the page has heard of every event acknowledged, or 5 s later."""
        for _ in range(50):
            if self.work.live.keys() >= self.work.answers.acknowledged:
                return
            await asyncio.sleep(0.1)


def _session(address: str) -> aiohttp.ClientSession:
    """A browser, or a notebook server, at that address."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    timeout = aiohttp.ClientTimeout(TIMEOUT)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)
