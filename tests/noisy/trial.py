"""A trial: an ordinary class, alone or beside an attacker, and what the attacker cost it."""

import asyncio
import secrets
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from monitor.database.embedded.server import EmbeddedPostgres
from tests.chaos.reckoning import HOMES
from tests.chaos.site import temporary_directory
from tests.noisy.attack import Attack, Outcomes
from tests.noisy.classroom import Classroom, Work
from tests.noisy.hub import GOOD, SlowHub
from tests.noisy.rows import ROWS, Row
from tests.noisy.school import School, school
from tests.noisy.watch import Watch, Watched
from tests.support.postgres import Address, address_of, fetch

WARM_UP = 4.0  # seconds of the class alone, which are not measured
AFTERMATH = 2.0  # seconds that are measured after the attack
MOST_PROBE = 0.1  # seconds
MOST_MEMORY = 400_000_000  # bytes
LEAST_BOUND = 0.05  # seconds: what anybody may wait
RATIO = 2  # of the time alone


@dataclass
class Result:
    """What a class had of a trial: seconds, bytes and events; `problems` is what went wrong.

    `post` is the 99th percentile of the time to the acknowledgement, `live` that until the page
    has the message.
    """

    post: float
    live: float
    watched: Watched
    posted: int
    stored: int
    spooled: int
    problems: list[str]
    slowest: dict[str, float] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=dict)

    def verdict(self, alone: "Result | None") -> list[str]:
        """What is over its bound, given what the class had `alone`."""
        over = list(self.problems)
        if self.watched.slowest > MOST_PROBE:
            over.append(f"/health/live took {1000 * self.watched.slowest:.0f} ms")
        if self.watched.memory > MOST_MEMORY:
            over.append(f"{self.watched.memory / 1e6:.0f} MB of memory")
        if alone:
            bounds = {"POST": (self.post, alone.post), "live": (self.live, alone.live)}
            over += [
                f"p99 of {what} {1000 * now:.0f} ms"
                for what, (now, before) in bounds.items()
                if now > max(RATIO * before, LEAST_BOUND)
            ]
        return over


@contextmanager
def postgres() -> Iterator[tuple[Address, Path]]:
    """A PostgreSQL for the trials, and a directory for the replicas' files."""
    with (
        temporary_directory("noisy-") as directory,
        EmbeddedPostgres(directory / "postgres", watchdog=True) as server,
    ):
        yield address_of(server), directory


async def play(server: Address, directory: Path, name: str, seconds: float) -> Result:
    """The class beside the row's attacker for so many seconds; without a name it is alone."""
    row = ROWS[name] if name else None
    async with AsyncExitStack() as stack:
        settings = dict(row.settings) if row else {}
        if row and row.hub:
            hub = await stack.enter_async_context(SlowHub())
            settings["JUPYTERHUB_API_URL"] = hub.url
        data = Path(tempfile.mkdtemp(prefix="replica-", dir=directory))
        here = await stack.enter_async_context(school(server, data, settings))
        classroom = Classroom(here, _new_credential if row and row.hub else None)
        watch, outcomes, began = await _lesson(here, classroom, name, seconds)
        return await _reckon(here, classroom.work, began, watch, row, outcomes)


def _new_credential() -> str:
    return GOOD + secrets.token_hex(16)


async def _lesson(
    here: School, classroom: Classroom, name: str, seconds: float
) -> tuple[Watched, Outcomes, float]:
    """The class at work; what was watched, the attacker's outcomes, and when it began."""
    assert here.replica.process
    outcomes: Outcomes = {}
    async with classroom.going_on():
        await asyncio.sleep(WARM_UP)
        began = asyncio.get_running_loop().time()
        watch = Watch(here.replica.url, here.replica.process.pid, seconds + AFTERMATH)
        if name:
            attack = Attack(name, here.target(seconds))
            outcomes = await asyncio.to_thread(attack.outcomes)
        watched = await asyncio.to_thread(watch.result)
    return watched, outcomes, began


async def _reckon(
    here: School, work: Work, began: float, watched: Watched, row: Row | None, outcomes: Outcomes
) -> Result:
    answers = work.answers
    stored = await _stored(here, set(answers.sent_at))
    measured = [event for event, sent in answers.sent_at.items() if sent >= began]
    posts = [answers.seconds[event] for event in measured]
    live = [work.live[event] - answers.sent_at[event] for event in measured if event in work.live]
    problems = [f"{count} × {what}" for what, count in work.refused.items()]
    problems += [f"{count} × {what}" for what, count in Counter(watched.failed).items()]
    problems += [f"refused: {each}" for each in answers.refused[:3]]
    counts = {
        "not stored": len(answers.sent_at) - len(stored),
        "spooled": answers.spooled,
        "without a live message": len(answers.acknowledged - work.live.keys()),
    }
    problems += [f"{count} {what}" for what, count in counts.items() if count]
    if row and not outcomes:
        problems.append("the attacker did nothing")
    if row and (count := outcomes.get(row.unwanted)):
        problems.append(f"the attacker was {row.unwanted} {count} times")
    return Result(
        post=_percentile(posts),
        live=_percentile(live),
        watched=watched,
        posted=len(answers.sent_at),
        stored=len(stored),
        spooled=answers.spooled,
        problems=problems,
        slowest=work.slowest,
        outcomes=outcomes,
    )


def _percentile(seconds: list[float]) -> float:
    """The 99th."""
    return quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else float("inf")


async def _stored(here: School, sent: set[uuid.UUID]) -> set[uuid.UUID]:
    """Those that PostgreSQL has."""
    query = f"SELECT event_id FROM ({HOMES}) AS homes WHERE event_id = ANY($1)"
    return {row["event_id"] for row in await fetch(here.postgres, query, list(sent))}
