"""Attacks by events: invented names, poison, quotas, and more rows than a class will ever have."""

import random
import uuid
from itertools import count, cycle
from typing import Any

from tests.chaos.extension import POISON, encoded, event
from tests.noisy.attacker import Attacker
from tests.noisy.school import ATTACKER

BATCH = 1_000  # events, the most of a request


async def invented_names(attacker: Attacker) -> None:
    """A user id for each event, with the class's key."""
    names = (f"nobody-{number}" for number in count())

    async def once() -> None:
        events = [_event() | {"userId": next(names)} for _ in range(BATCH)]
        await attacker.post(encoded(events), key=attacker.target.key)

    await attacker.repeat(once, at_once=4)


async def claimed_names(attacker: Attacker) -> None:
    """The names of classmates, with the class's key: theirs is still their own share."""
    names = [f"student-{number}" for number in range(1, 41)]

    async def once() -> None:
        events = [_event() | {"userId": random.choice(names)} for _ in range(BATCH)]
        await attacker.post(encoded(events), key=attacker.target.key)

    await attacker.repeat(once, at_once=4)


async def absurd_exponents(attacker: Attacker) -> None:
    """Numbers that JSON has and PostgreSQL hasn't, in each event of twelve requests at a time."""
    exponents = ("0e2000000000", "1e-2000000000", "0e-99999", "1E+400")

    async def once() -> None:
        number = random.choice(exponents)
        events = [_event() | {"metadata": {"a": f"@{number}@"}} for _ in range(BATCH)]
        await attacker.post(encoded(events))

    await attacker.repeat(once, at_once=12)


async def poison(attacker: Attacker) -> None:
    """What PostgreSQL refuses, one among many valid events, so that it has to be looked for."""
    kinds = [bad for bad in POISON if len(str(bad)) < 100_000]

    async def once() -> None:
        events = [_event() for _ in range(BATCH - 1)]
        events.insert(random.randrange(BATCH), _event() | random.choice(kinds))
        await attacker.post(encoded(events))

    await attacker.repeat(once, at_once=8)


async def daily_quota(attacker: Attacker) -> None:
    """Events of the attacker's own, with the class's key, until its day's quota is used up."""
    size = BATCH

    async def once() -> None:
        nonlocal size
        body = encoded([_event() for _ in range(size)])
        if await attacker.post(body, key=attacker.target.key) == 503:
            size = 1  # what is left of it

    await attacker.repeat(once, at_once=4)


async def errors(attacker: Attacker) -> None:
    """400,000 failures, all of one student."""
    failure = {"eventType": "cell_error", "hasError": True}

    async def once() -> None:
        kinds = [f"KeyError: {random.random()}" for _ in range(BATCH)]
        events = [_event() | failure | {"errorMessage": kind} for kind in kinds]
        await attacker.post(encoded(events))

    await attacker.repeat(once, at_once=8)


async def cells(attacker: Attacker) -> None:
    """100,000 cells in the class's notebook."""
    await attacker.repeat(
        lambda: attacker.post(encoded([_event() | {"cellId": _unique()} for _ in range(BATCH)])),
        at_once=8,
    )


async def notebooks(attacker: Attacker) -> None:
    """A notebook and a session for each event."""

    async def once() -> None:
        events = [
            _event() | {"notebookPath": f"{_unique()}.ipynb", "sessionId": _unique()}
            for _ in range(BATCH)
        ]
        await attacker.post(encoded(events))

    await attacker.repeat(once, at_once=8)


async def small_posts(attacker: Attacker) -> None:
    """One event at a time, as many as possible."""
    await attacker.repeat(lambda: attacker.post(encoded([_event()])), at_once=64)


async def duplicates(attacker: Attacker) -> None:
    """The same events, again and again."""
    body = encoded([_event() for _ in range(BATCH)])
    await attacker.repeat(lambda: attacker.post(body), at_once=16)


async def large_metadata(attacker: Attacker) -> None:
    """Requests and events as large as they may be."""
    bodies = [
        encoded([_event() | {"metadata": {"x": ["a" * 1_000] * 15_000}}]),
        encoded([_event() | {"metadata": dict.fromkeys(map(str, range(500)), 1)}] * BATCH),
        encoded([_event() | {"code": "x" * 40_000_000}]),
    ]
    turns = cycle(bodies)
    await attacker.repeat(lambda: attacker.post(next(turns)), at_once=6)


async def rejected_items(attacker: Attacker) -> None:
    """Dead letters: items of the wrong type, which the lenient decoder looks at one by one."""
    item = {"eventType": 5, "userId": [ATTACKER], "code": "x" * 10_000, "cellIndex": "?"}
    body = encoded([item] * BATCH)
    await attacker.repeat(lambda: attacker.post(body), at_once=8)


async def unknown_keys(attacker: Attacker) -> None:
    """Keys that nobody has issued."""
    body = encoded([_event()])
    await attacker.repeat(lambda: attacker.post(body, key=f"cmk_{_unique()}"), at_once=16)


async def random_tokens(attacker: Attacker) -> None:
    """Tokens that the Hub has to be asked about."""
    await attacker.repeat(
        lambda: attacker.ask("GET", "/classes", headers={"Authorization": f"Bearer {_unique()}"}),
        at_once=400,
    )


def _event() -> dict[str, Any]:
    return event(ATTACKER) | {"result": None}


def _unique() -> str:
    return uuid.uuid4().hex
