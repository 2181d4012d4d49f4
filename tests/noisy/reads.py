"""Attacks by calls of the API: costly answers in a loop."""

import json
import random
from itertools import count, cycle

from tests.chaos.extension import encoded, event
from tests.noisy.attacker import Attacker
from tests.noisy.school import ATTACKER

BATCH = 1_000  # events
OWN_EVENTS = 20_000  # that there are to be read
AT_ONCE = 32
LINES = 5_000  # of a program whose runs are compared


async def own_views(attacker: Attacker) -> None:
    """All that a student may read, and a view of the class, which they may not."""
    own = f"/students/{attacker.target.student_id}"
    notebook = f"/classes/{attacker.target.class_id}/notebooks/{attacker.target.notebook_id}"
    views = ("timeline", "changes", "accesses", "sessions", "submissions")
    paths = [f"{own}/{view}?limit=500" for view in views]
    paths += ["/students?limit=500", "/notebooks?limit=500", "/submissions?limit=500"]
    paths += ["/me", "/me/assignments", f"{notebook}/cells", "/openapi.json"]
    await _post_events(attacker)
    await _read(attacker, paths)


async def exports(attacker: Attacker) -> None:
    """Everything of one's own as CSV."""
    own = f"/students/{attacker.target.student_id}"
    views = ("timeline", "accesses", "sessions", "submissions")
    await _post_events(attacker)
    await _read(attacker, [f"{own}/{view}?format=csv" for view in views])


async def comparisons(attacker: Attacker) -> None:
    """What changed between runs of a long program: texts that are slow to compare."""
    for _ in range(20):
        lines = [random.choice(("a", "b", "x = 1")) for _ in range(LINES)]
        run = event(ATTACKER) | {"eventType": "cell_executed", "code": "\n".join(lines)}
        await attacker.post(encoded([run | {"cellId": "long"}]))
    await _read(attacker, [f"/students/{attacker.target.student_id}/changes?limit=500"])


async def replays(attacker: Attacker) -> None:
    """What is for teachers: replays of dead letters, withdrawals, keys."""
    paths = ["/rejected-events", "/withdrawals", "/ingest-keys", "/audit", "/overview", "/heard"]
    turns = count()

    async def once() -> None:
        number = next(turns)
        await attacker.ask("POST", f"/rejected-events/{number}/replay")
        await attacker.ask("GET", paths[number % len(paths)])

    await attacker.repeat(once, at_once=AT_ONCE)


async def invitations(attacker: Attacker) -> None:
    """Codes of invitations that nobody has made."""
    turns = count()
    await attacker.repeat(
        lambda: attacker.ask("POST", f"/join/{next(turns):022}/token", json={"user_id": ATTACKER}),
        at_once=AT_ONCE,
    )


async def rotations(attacker: Attacker) -> None:
    """New tokens of one's own: each has a QR code, and every replica reads it."""

    async def once() -> None:
        _, listed = await attacker.ask("GET", "/student-tokens?limit=500")
        valid = [each["id"] for each in json.loads(listed) if each["valid_to"] is None]
        for token_id in valid:
            await attacker.ask("POST", f"/student-tokens/{token_id}/rotate?hours=0")

    await attacker.repeat(once, at_once=8)


async def _post_events(attacker: Attacker) -> None:
    for _ in range(OWN_EVENTS // BATCH):
        await attacker.post(encoded([event(ATTACKER) for _ in range(BATCH)]))


async def _read(attacker: Attacker, paths: list[str]) -> None:
    turns = cycle(paths)
    await attacker.repeat(lambda: attacker.ask("GET", next(turns)), at_once=AT_ONCE)
