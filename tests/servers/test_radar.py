"""The students who still have an error, and those who have solved it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from monitor.insight.recent_runs import MAX_RUNS
from tests.support.events import event, post
from tests.support.lms import create_class_of, unique
from tests.support.replicas import Replica


class Lesson:
    """A class in one cell of a notebook of its own."""

    def __init__(self, school: Replica, api: httpx.AsyncClient, class_id: int) -> None:
        self._school, self._api, self._class_id = school, api, class_id
        self._notebook = unique("radar") + ".ipynb"

    async def run(self, user: str, error: str | None = None, age: float = 0, **fields: Any) -> None:
        """`age`: how many seconds ago, by the student's clock."""
        at = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
        place = {"notebookPath": self._notebook, "cellId": "c7", "cellIndex": 6, "eventTime": at}
        failed = {"hasError": True, "errorMessage": error} if error else {}
        await post(self._school, event(userId=user, **place | failed | fields))

    async def radar(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._api.get(f"/classes/{self._class_id}/errors")).json()
        return answer

    async def groups(self) -> list[tuple[str, list[str], list[str]]]:
        groups = (await self.radar())["groups"]
        return [(each["error"], each["students"], each["still"]) for each in groups]


async def test_who_got_past_the_cell_met_the_error_and_has_it_no_longer(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, users, _ = await create_class_of(api, "a", "b", "c")
    lesson = Lesson(school, api, class_id)
    for user in users:
        await lesson.run(user, "KeyError: 'a'", age=20)
    assert await lesson.groups() == [("KeyError: …", users, users)]
    await lesson.run(users[1], age=10)
    assert await lesson.groups() == [("KeyError: …", users, [users[0], users[2]])]
    await lesson.run(users[0], age=10)
    await lesson.run(users[2], age=10, cellId="c8", cellIndex=7)
    assert await lesson.groups() == [("KeyError: …", users, [users[2]])]
    await lesson.run(users[1], "KeyError: 'b'", age=5)
    assert await lesson.groups() == [("KeyError: …", users, [users[1], users[2]])]


async def test_a_group_that_nobody_is_at_any_more_leaves(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    lesson = Lesson(school, api, class_id)
    await lesson.run(one, "KeyError: 'a'", age=20)
    await lesson.run(two, "ValueError: 1", age=20)
    await lesson.run(one, age=10)
    assert await lesson.groups() == [("ValueError: …", [two], [two])]


async def test_the_times_decide_and_not_the_order_of_arrival(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    lesson = Lesson(school, api, class_id)
    await lesson.run(one, age=10)
    await lesson.run(one, "KeyError: 'a'", age=20)
    await lesson.run(two, "KeyError: 'a'", age=10)
    await lesson.run(two, age=20)
    assert await lesson.groups() == [("KeyError: …", [one, two], [two])]


async def test_rendering_a_cell_is_no_success(school: Replica, api: httpx.AsyncClient) -> None:
    class_id, (one,), _ = await create_class_of(api, "one")
    lesson = Lesson(school, api, class_id)
    await lesson.run(one, "KeyError: 'a'", age=20)
    await lesson.run(one, age=10, cellType="markdown")
    assert await lesson.groups() == [("KeyError: …", [one], [one])]


async def test_errors_that_most_are_still_at_come_first_and_the_rest_is_counted(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "a", "b", "c")
    lesson = Lesson(school, api, class_id)
    for user in (one, two, three):
        await lesson.run(user, "KeyError: 'a'", age=20, cellId="solved")
    for user in (one, two):
        await lesson.run(user, "ValueError: 1", age=20, cellId="open")
        await lesson.run(user, age=10, cellId="solved")
    for number in range(21):
        await lesson.run(three, f"E{number}: x", age=20, cellId=f"c{number}")
    radar = await lesson.radar()
    assert [(each["cell_id"], len(each["still"])) for each in radar["groups"][:2]] == [
        ("open", 2),
        ("solved", 1),
    ]
    assert (len(radar["groups"]), radar["more"]) == (20, 3)


async def test_tracebacks_of_one_error_are_one_group(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, users, _ = await create_class_of(api, "a", "b", "c")
    lesson = Lesson(school, api, class_id)
    frames = '  File "/home/hanako/a.py", line 1, in f\n    f()\n' * 200
    message = "ValueError: invalid literal for int() with base 10: '点'"
    errors = [
        "ValueError: invalid literal for int() with base 10: 'a'",
        f"Traceback (most recent call last):\n{frames}{message}",
        "\x1b[0;31mValueError\x1b[0m: invalid literal for int() with base 10: ''",
    ]
    for user, error in zip(users, errors, strict=True):
        await lesson.run(user, error, age=5)
    kind = "ValueError: invalid literal for int() with base …: …"
    assert await lesson.groups() == [(kind, users, users)]


async def test_cells_whose_ids_are_random_are_one_place(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, users, _ = await create_class_of(api, "a", "b", "c")
    lesson = Lesson(school, api, class_id)
    for user in users:
        await lesson.run(user, "KeyError: 'a'", age=20, cellId=unique("random"), cellIndex=3)
    await lesson.run(users[0], age=10, cellId=unique("random"), cellIndex=3)
    assert await lesson.groups() == [("KeyError: …", users, users[1:])]
    (group,) = (await lesson.radar())["groups"]
    assert (group["place"], group["cell_id"], group["cell_position"]) == ("index:3", None, 3)


async def test_who_fails_thousands_of_times_takes_part_with_the_newest(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (busy, other), _ = await create_class_of(api, "busy", "other")
    lesson = Lesson(school, api, class_id)
    await lesson.run(other, "KeyError: 'a'", age=30)
    start = datetime.now(UTC) - timedelta(seconds=20)
    for part in range(3):
        await post(
            school,
            *(
                event(
                    userId=busy,
                    eventTime=(start + timedelta(milliseconds=1_000 * part + number)).isoformat(),
                    hasError=True,
                    errorMessage=f"ValueError: {number}",
                )
                for number in range(900)
            ),
        )
    groups = {each["error"]: each for each in (await lesson.radar())["groups"]}
    assert groups["KeyError: …"]["still"] == [other]
    assert groups["ValueError: …"]["count"] == MAX_RUNS
