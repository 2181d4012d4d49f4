"""A lesson whose clocks are all wrong shows the same, step by step, as with right ones."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.events import event
from tests.support.lms import create_class, unique
from tests.support.replicas import Replica

STUDENTS = 12
OFFSETS = [timedelta(hours=-9) + n * timedelta(hours=18) / (STUDENTS - 1) for n in range(STUDENTS)]
STEPS = 16
STEP = 0.3  # seconds
KINDS: list[dict[str, Any]] = [
    {"eventType": "cell_executed"},
    {"eventType": "cell_error", "errorMessage": "KeyError: 'x'"},
    {"eventType": "cell_error", "errorMessage": "NameError: name 'y' is not defined"},
    {"eventType": "cell_executed", "cellType": "markdown"},
    {"eventType": "cell_execution_start"},
    {"eventType": "help"},
    {"eventType": "help_stop"},
    {"eventType": "notebook_open", "cellId": None},
]


class Lesson:
    """A class, and its students' user_ids without what makes them unique."""

    def __init__(self, class_id: int, clocks: list[timedelta], suffix: str) -> None:
        self.class_id = class_id
        self.clocks = clocks
        self.suffix = suffix

    def events(self, step: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each student's event, at its own time by the student's clock."""
        now = datetime.now(UTC)
        return [
            event(**fields, userId=f"s{n:02}-{self.suffix}", eventTime=(now + off).isoformat())
            for n, (off, fields) in enumerate(zip(self.clocks, step, strict=True))
        ]

    async def seen(self, api: httpx.AsyncClient) -> dict[str, Any]:
        """What the teacher sees, without times and ids; what happens in a step has no order."""
        states, calls, radar = [
            (await api.get(f"/classes/{self.class_id}/{view}")).json()
            for view in ("now", "help", "errors")
        ]
        fields = ("state", "cell_id", "notebook_path", "errors_in_a_row", "executions", "errors")
        return {
            "states": {self._name(each): [each[field] for field in fields] for each in states},
            "calls": sorted((self._name(each), each["cell_id"]) for each in calls),
            "errors": sorted(
                (
                    each["cell_id"],
                    each["error"],
                    each["count"],
                    sorted(self._of(user) for user in each["students"]),
                )
                for each in radar["groups"]
            ),
        }

    def _name(self, row: dict[str, Any]) -> str:
        return self._of(row["user_id"])

    def _of(self, user_id: str) -> str:
        return user_id.removesuffix(f"-{self.suffix}")


async def create_lesson(api: httpx.AsyncClient, clocks: list[timedelta]) -> Lesson:
    lesson = Lesson((await create_class(api))["id"], clocks, unique())
    rows = [{"user_id": f"s{n:02}-{lesson.suffix}"} for n in range(STUDENTS)]
    answer = await api.post(f"/classes/{lesson.class_id}/students", json=rows)
    assert answer.status_code == 201, answer.text
    return lesson


def steps() -> list[list[dict[str, Any]]]:
    """What each student does in each step; the first of all is a success."""
    chance = random.Random(15)

    def one() -> dict[str, Any]:
        cell = f"c{chance.randrange(4)}"
        return {"cellId": cell} | chance.choice(KINDS)

    return [[dict(KINDS[0]) for _ in range(STUDENTS)]] + [
        [one() for _ in range(STUDENTS)] for _ in range(STEPS)
    ]


async def test_a_lesson_by_wrong_clocks_shows_the_same(
    school: Replica, api: httpx.AsyncClient
) -> None:
    right = await create_lesson(api, [timedelta(0)] * STUDENTS)
    wrong = await create_lesson(api, OFFSETS)
    compared = 0
    for number, step in enumerate(steps()):
        events = [
            pair
            for pairs in zip(right.events(step), wrong.events(step), strict=True)
            for pair in pairs
        ]
        answer = await api.post("/events", json=events)
        assert answer.json()["stored"] == len(events), answer.text
        if number:
            expected = await right.seen(api)
            assert await wrong.seen(api) == expected, f"step {number}"
            compared += len(expected["calls"]) + len(expected["errors"])
        await asyncio.sleep(STEP if number else 1.2)
    assert compared > STUDENTS
