"""A lesson whose clocks are all wrong shows the same, step by step, as with right ones."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.replicas import Replica

STUDENTS = 12
OFFSETS = [timedelta(hours=-9) + n * timedelta(hours=18) / (STUDENTS - 1) for n in range(STUDENTS)]
STEPS = 24
STEP = 0.5  # seconds
SILENT = 3  # students who run a cell and then do nothing
IDLE = "idle_after=10"  # seconds, and so within the lesson
NEARLY = timedelta(seconds=0.25)  # how far times may be apart: less than a step
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

    def __init__(self, ids: dict[str, int], clocks: list[timedelta], suffix: str) -> None:
        self.class_id = ids["class_id"]
        self.assignment_id = ids["id"]
        self.clocks = clocks
        self.suffix = suffix

    def events(self, step: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
        """Each student's event, at its own time by the student's clock."""
        return [
            event(**fields, userId=f"s{n:02}-{self.suffix}", eventTime=(at + off).isoformat())
            for n, (off, fields) in enumerate(zip(self.clocks, step, strict=True))
            if fields
        ]

    async def seen(self, api: httpx.AsyncClient) -> dict[str, Any]:
        """What the teacher sees, without ids; what happens in a step has no order."""
        path = f"/classes/{self.class_id}"
        calls, radar, overview, progress = [
            (await api.get(view)).json()
            for view in (
                f"{path}/help",
                f"{path}/errors",
                f"/overview?{IDLE}&limit=500",
                f"/assignments/{self.assignment_id}/progress",
            )
        ]
        states = (await api.get(f"{path}/now?{IDLE}")).json()
        (row,) = [each for each in overview if each["class_id"] == self.class_id]
        names = {each["student_id"]: self._name(each) for each in states}
        return {
            "states": await self.states(api, IDLE),
            "calls": {
                self._name(each): [each["cell_id"], each["calls"], _time(each["asked_at"])]
                for each in calls
            },
            "errors": sorted(
                (
                    each["cell_id"],
                    each["error"],
                    each["count"],
                    sorted(self._of(user) for user in each["students"]),
                    sorted(self._of(user) for user in each["still"]),
                )
                for each in radar["groups"]
            ),
            "overview": [row[name] for name in ("students", "active", "stuck", "calls")],
            "progress": {
                names[each["student_id"]]: each["succeeded"] for each in progress["students"]
            },
            "cells": progress["cells"],
        }

    async def states(self, api: httpx.AsyncClient, query: str) -> dict[str, Any]:
        """Now or, with `at` in the query, as they were."""
        answer = await api.get(f"/classes/{self.class_id}/now?{query}")
        assert answer.status_code == 200, answer.text
        plain = ("state", "cell_id", "notebook_path", "errors_in_a_row", "executions", "errors")
        times = ("failing_since", "last_run_at", "running_since")
        return {
            self._name(each): [
                *(each[name] for name in (*plain, "running_cell_id")),
                *(_time(each[name]) for name in times),
            ]
            for each in answer.json()
        }

    def _name(self, row: dict[str, Any]) -> str:
        return self._of(row["user_id"])

    def _of(self, user_id: str) -> str:
        return user_id.removesuffix(f"-{self.suffix}")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def is_nearly(one: Any, other: Any) -> bool:
    """Whether both are equal, except for NEARLY between times."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) < NEARLY
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_nearly(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_nearly, one, other))
    return bool(one == other)


async def create_lesson(api: httpx.AsyncClient, clocks: list[timedelta]) -> Lesson:
    class_id = (await create_class(api, stuck_errors=2))["id"]
    notebook = await create(api, "/notebooks", class_id=class_id, path="lesson.ipynb")
    task = await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    lesson = Lesson(task, clocks, unique())
    rows = [{"user_id": f"s{n:02}-{lesson.suffix}"} for n in range(STUDENTS)]
    answer = await api.post(f"/classes/{class_id}/students", json=rows)
    assert answer.status_code == 201, answer.text
    return lesson


def steps() -> list[list[dict[str, Any]]]:
    """What each student does in each step, if anything; the first of all is a success."""
    chance = random.Random(15)

    def one(number: int, student: int) -> dict[str, Any]:
        if student >= STUDENTS - SILENT:
            return dict(KINDS[0]) if number == 1 else {}
        return {"cellId": f"c{chance.randrange(4)}"} | chance.choice(KINDS)

    return [[dict(KINDS[0]) for _ in range(STUDENTS)]] + [
        [one(number, student) for student in range(STUDENTS)] for number in range(1, STEPS + 1)
    ]


async def same(right: Lesson, wrong: Lesson, api: httpx.AsyncClient) -> dict[str, Any]:
    """What both lessons show; once more where a second passed between one and the other."""
    for _ in range(2):
        expected, seen = await right.seen(api), await wrong.seen(api)
        if is_nearly(expected, seen):
            break
    assert difference(expected, seen) == []
    return expected


def difference(one: dict[str, Any], other: dict[str, Any]) -> list[Any]:
    assert one.keys() == other.keys()
    return [(name, one[name], other[name]) for name in one if not is_nearly(one[name], other[name])]


async def test_a_lesson_by_wrong_clocks_shows_the_same(
    school: Replica, api: httpx.AsyncClient
) -> None:
    right = await create_lesson(api, [timedelta(0)] * STUDENTS)
    wrong = await create_lesson(api, OFFSETS)
    seen: list[dict[str, Any]] = []
    moments: list[datetime] = []
    for number, step in enumerate(steps()):
        now = datetime.now(UTC)
        pairs = zip(right.events(step, now), wrong.events(step, now), strict=True)
        events = [event for pair in pairs for event in pair]
        answer = await api.post("/events", json=events)
        assert answer.json()["stored"] == len(events), answer.text
        if number:
            seen.append(await same(right, wrong, api))
        await asyncio.sleep(STEP if number else 1.2)
        moments.append(datetime.now(UTC))
    assert sum(len(each["calls"]) + len(each["errors"]) for each in seen) > STUDENTS
    shown = {state[0] for each in seen for state in each["states"].values()}
    assert shown == {"active", "error", "help", "idle"}
    assert any(each["overview"][2] for each in seen)  # stuck
    assert seen[-1]["cells"] > 1
    for at in moments[1:]:
        query = f"{IDLE}&at={at:%Y-%m-%dT%H:%M:%S.%fZ}"
        expected, replayed = [await each.states(api, query) for each in (right, wrong)]
        assert difference(expected, replayed) == [], at
