"""A class at work: students who run cells until the lesson ends."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp

from tests.chaos.extension import POISON, TIMEOUT, EventFields, Extension, Journal, Place, event

STUDENTS = 12
NEWCOMERS = 6  # after a break
UPGRADE = {  # as Java's and Ktor's clients and curl --http2 ask for HTTP/2
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
}


@dataclass(frozen=True)
class Habits:
    """How the students of a lesson work.

    `poison` mixes bad events among the good; `everywhere` sends each event to all the servers at
    the same time; `upgrading` clients ask for HTTP/2; all events happened `age` ago; a fifth of the
    requests have `most` events, the others one.
    """

    poison: bool = False
    everywhere: bool = False
    upgrading: bool = False
    age: timedelta = timedelta(0)
    most: int = 20


USUAL = Habits()


class Lesson:
    """Students, a third of whom are in no class, a third in one, and a third in two.

    After a break there are newcomers, and the names of sessions and notebooks are new.
    """

    def __init__(self, urls: list[str], prefix: str, habits: Habits = USUAL) -> None:
        self._urls = urls
        self._habits = habits
        self._over = asyncio.Event()
        self._working = asyncio.Event()
        self._busy: set[int] = set()  # students whose requests are on their way
        self._after_break = False
        self.journal = Journal(prefix)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        self._working.set()
        async with self._clients() as clients, asyncio.TaskGroup() as tasks:
            for number in range(STUDENTS + NEWCOMERS):
                tasks.create_task(self._work(number, clients))
            try:
                yield
            finally:
                self._over.set()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """A break that begins when every request has been answered or given up."""
        self._working.clear()
        while self._busy:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._after_break = True
        yield
        self._working.set()

    async def send_unrecorded(self) -> None:
        """Sends, in a break, events of which the journal says nothing: they are going to be lost.

        They bring half of the newcomers and of the new names.
        """
        lost = Journal(self.journal.prefix)
        async with self._clients(lost) as clients:
            for number in range(0, STUDENTS + NEWCOMERS, 2):
                events = [self._event(number, lost) for _ in range(5)]
                await asyncio.gather(*(each.send(*events) for each in clients))

    @asynccontextmanager
    async def _clients(self, journal: Journal | None = None) -> AsyncIterator[list[Extension]]:
        headers = UPGRADE if self._habits.upgrading else {}
        groups = [[url] for url in self._urls] if self._habits.everywhere else [self._urls]
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(TIMEOUT), headers=headers
        ) as http:
            yield [Extension(http, urls, journal or self.journal) for urls in groups]

    async def _work(self, number: int, clients: list[Extension]) -> None:
        while not self._over.is_set():
            if self._working.is_set() and (number < STUDENTS or self._after_break):
                self._busy.add(number)
                await self._send_some(number, clients)
                self._busy.discard(number)
            await asyncio.sleep(random.uniform(0.02, 0.1))

    async def _send_some(self, number: int, clients: list[Extension]) -> None:
        journal = self.journal
        count = random.choice((1, 1, 1, 1, self._habits.most))
        events = [self._event(number, journal) for _ in range(count)]
        bad: set[int] = set()
        if self._habits.poison and random.random() < 0.3:
            index = random.randint(0, len(events))
            events.insert(index, self._event(number, journal) | random.choice(POISON))
            bad.add(index)
        await asyncio.gather(*(each.send(*events, bad=bad) for each in clients))

    def _event(self, number: int, journal: Journal) -> EventFields:
        """An event whose place is in the journal; a student of two classes says in which it is."""
        student = f"{journal.prefix}-{number}"
        fields = event(student)
        if self._after_break:
            fields["sessionId"] += ", second half"
            fields["notebookPath"] = f"after the break/{fields['notebookPath']}"
        if self._habits.age:
            fields["eventTime"] = (datetime.now(UTC) - self._habits.age).isoformat()
        classes = classes_of(journal.prefix, number)
        class_code = random.choice(classes or [""])
        if len(classes) > 1:
            fields["classCode"] = class_code
        names = (fields[name] for name in ("sessionId", "notebookPath", "cellId"))
        journal.places[uuid.UUID(fields["eventId"])] = Place(student, class_code, *names)
        return fields


def classes_of(prefix: str, number: int) -> list[str]:
    """The codes of the classes of a lesson's student of that number; newcomers are in none."""
    return [f"{prefix}-a", f"{prefix}-b"][: number % 3] if number < STUDENTS else []
