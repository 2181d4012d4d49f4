"""Whose event it is: what clients claim of class, student and clock changes only what it may."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.lms import create_assignment, unique
from tests.support.replicas import Replica
from tests.support.teachers import Teacher, a_teacher, post
from tests.support.tokens import client
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)
ZERO = timedelta(0)


@pytest.fixture
async def teacher(guarded_school: Replica) -> AsyncIterator[Teacher]:
    async with a_teacher(guarded_school) as teacher:
        yield teacher


@pytest.fixture
async def other(guarded_school: Replica) -> AsyncIterator[Teacher]:
    async with a_teacher(guarded_school) as teacher:
        yield teacher


class Laptop:
    """A student's laptop, whose clock is off by `wrong`."""

    def __init__(self, teacher: Teacher, wrong: timedelta = ZERO, **always: Any) -> None:
        self.teacher = teacher
        self.key = teacher.key
        self.wrong = wrong
        self.name = unique("pupil")
        self.always = {"sessionId": unique("session"), "notebookPath": "lesson.ipynb"} | always

    async def send(self, kind: str = "cell_executed", ago: timedelta = ZERO, **said: Any) -> None:
        time = (datetime.now(UTC) + self.wrong - ago).isoformat()
        fields = {"eventType": kind, "eventTime": time, "eventId": unique("e")}
        await post(self.teacher.replica, self.key, self.name, **self.always | fields | said)

    async def fail(self, times: int = 1) -> None:
        for _ in range(times):
            await self.send("cell_error", errorMessage="NameError: x", hasError=True)

    async def state(self, teacher: Teacher | None = None) -> dict[str, Any]:
        teacher = teacher or self.teacher
        answer = await teacher.api.get(f"/classes/{teacher.class_id}/now")
        assert answer.status_code == 200, answer.text
        states: list[dict[str, Any]] = answer.json()
        (state,) = [each for each in states if each["user_id"] == self.name]
        return state


async def calls(teacher: Teacher) -> list[str]:
    answer = await teacher.api.get(f"/classes/{teacher.class_id}/help")
    return [each["user_id"] for each in answer.json()]


@pytest.mark.parametrize("kind", ["markdown", "raw"])
async def test_a_cell_that_is_rendered_is_no_execution(teacher: Teacher, kind: str) -> None:
    laptop = Laptop(teacher)
    await laptop.fail(4)
    await laptop.send("cell_execution_start", cellType=kind)
    await laptop.send(cellType=kind, cellId="text")
    state = await laptop.state()
    assert (state["state"], state["errors_in_a_row"], state["executions"]) == ("error", 4, 4)
    assert state["cell_id"] == "text"


async def test_a_clock_seconds_behind_hides_no_call(teacher: Teacher) -> None:
    laptop = Laptop(teacher, wrong=timedelta(seconds=-40))
    await laptop.send("help")
    assert (await laptop.state())["state"] == "help"
    assert await calls(teacher) == [laptop.name]


@pytest.mark.parametrize("hours", [-9, 9])
async def test_a_clock_hours_off_hides_no_call_from_the_second_event_on(
    teacher: Teacher, hours: int
) -> None:
    laptop = Laptop(teacher, wrong=hours * HOUR)
    await laptop.send("help")
    await asyncio.sleep(1.1)
    await laptop.send("help")
    assert (await laptop.state())["state"] == "help"
    assert await calls(teacher) == [laptop.name]
    await laptop.send("help_stop")
    assert await calls(teacher) == []


async def test_the_first_error_of_a_clock_hours_off_is_on_the_radar_with_the_second_event(
    teacher: Teacher,
) -> None:
    laptop = Laptop(teacher, wrong=-9 * HOUR, cellId="c")
    await laptop.fail()
    await asyncio.sleep(1.1)
    await laptop.fail()
    radar = (await teacher.api.get(f"/classes/{teacher.class_id}/errors")).json()
    assert [group["count"] for group in radar["groups"]] == [2]
    await asyncio.sleep(1.5)  # both are counted in the present, then
    path = f"/classes/{teacher.class_id}/activity?interval=60"
    intervals = (await teacher.api.get(path)).json()
    assert sum(interval["errors"] for interval in intervals) == 2
    assert (await laptop.state())["errors_in_a_row"] == 2


async def test_a_clock_that_is_put_right_mutes_nobody(teacher: Teacher) -> None:
    laptop = Laptop(teacher, wrong=8 * HOUR)
    await laptop.send()
    await laptop.send("help")
    await laptop.send("help_stop")
    laptop.wrong = ZERO
    laptop.always["notebookPath"] = "next.ipynb"
    await laptop.fail(3)
    await laptop.send("help")
    state = await laptop.state()
    assert (state["state"], state["errors_in_a_row"]) == ("help", 3)
    assert state["notebook_path"] == "next.ipynb"


async def test_an_hour_from_an_offline_queue_calls_nobody(teacher: Teacher) -> None:
    laptop = Laptop(teacher)
    await laptop.send()
    for minute in range(60, 0, -2):
        kind = "help" if minute == 30 else "cell_executed"
        await laptop.send(kind, ago=timedelta(minutes=minute))
    assert (await laptop.state())["state"] == "active"
    assert await calls(teacher) == []
    student = (await laptop.state())["student_id"]
    timeline = (await teacher.api.get(f"/students/{student}/timeline")).json()["items"]
    ages = [datetime.now(UTC) - datetime.fromisoformat(each["executed_at"]) for each in timeline]
    assert len(ages) == 30
    assert ages == sorted(ages)
    assert ages[-1] > timedelta(minutes=59)


async def test_what_another_class_claims_changes_nothing(teacher: Teacher, other: Teacher) -> None:
    laptop = Laptop(teacher, userName="花子")
    await laptop.send()
    await laptop.send("help")
    before = await eventually(laptop.state, lambda state: state["cell_title"])
    tomorrow = (datetime.now(UTC) + 23 * HOUR).isoformat()
    claims = {"userName": "偽名", "teamName": "偽", "sessionId": laptop.always["sessionId"]}
    await post(other.replica, other.key, laptop.name, eventType="help_stop", eventTime=tomorrow)
    await post(other.replica, other.key, laptop.name, eventTime=tomorrow, **claims)
    await laptop.send("help")
    after = await laptop.state()
    moved = {"last_heard_at", "called_at"}  # by the second heartbeat
    assert {k: v for k, v in after.items() if k not in moved} == {
        k: v for k, v in before.items() if k not in moved
    }
    assert await calls(teacher) == [laptop.name]
    assert (await laptop.state(other))["name"] == "偽名"


async def test_the_clock_of_another_class_s_sender_is_not_the_student_s(
    teacher: Teacher, other: Teacher
) -> None:
    laptop = Laptop(teacher, wrong=-9 * HOUR)
    await laptop.send()
    await asyncio.sleep(1.1)
    await laptop.send()
    impostor = Laptop(other, sessionId=laptop.always["sessionId"])
    impostor.name = laptop.name
    await impostor.send()
    await laptop.fail(2)
    await laptop.send("help")
    state = await laptop.state()
    assert (state["state"], state["errors_in_a_row"]) == ("help", 2)
    assert await calls(teacher) == [laptop.name]


async def test_a_disputed_event_does_not_set_the_students_clock(teacher: Teacher) -> None:
    impostor = Laptop(teacher)
    token = await issue_token(teacher, impostor.name)
    laptop = Laptop(teacher, wrong=-9 * HOUR, sessionId=impostor.always["sessionId"])
    laptop.name, laptop.key = impostor.name, token
    await laptop.send()
    await asyncio.sleep(1.1)
    await laptop.send()
    await impostor.send()
    await laptop.send("help")
    assert await calls(teacher) == [laptop.name]


async def test_a_claim_makes_no_teacher_a_student(teacher: Teacher, other: Teacher) -> None:
    await post(other.replica, other.key, teacher.name)
    await post(teacher.replica, teacher.key, teacher.name)
    assert (await teacher.roster())[teacher.name]["role"] == "teacher"
    states = (await teacher.api.get(f"/classes/{teacher.class_id}/now")).json()
    assert states == []


async def test_notebooks_of_one_path_in_two_classes_are_two(
    teacher: Teacher, other: Teacher
) -> None:
    for each, cell in ((teacher, "a"), (other, "b")):
        await Laptop(each, notebookPath="Untitled.ipynb", cellId=cell).send()
    for each, cell in ((teacher, "a"), (other, "b")):
        (state,) = (await each.api.get(f"/classes/{each.class_id}/now")).json()
        path = f"/classes/{each.class_id}/notebooks/{state['notebook_id']}/cells"
        (progress,) = (await each.api.get(path)).json()["cells"]
        assert progress["cell_id"] == cell


async def test_who_was_removed_stays_out(teacher: Teacher) -> None:
    laptop = Laptop(teacher)
    await laptop.send()
    student = (await laptop.state())["student_id"]
    await teacher.api.delete(f"/classes/{teacher.class_id}/students/{student}")
    await laptop.send()
    assert laptop.name not in await teacher.roster()
    refusals = (await teacher.api.get(f"/classes/{teacher.class_id}/refusals")).json()
    assert "removed" in str(refusals)


async def test_who_was_removed_stays_out_while_others_join(teacher: Teacher) -> None:
    laptop = Laptop(teacher)
    await laptop.send()
    student = (await laptop.state())["student_id"]
    await teacher.api.delete(f"/classes/{teacher.class_id}/students/{student}")
    await Laptop(teacher).send()
    await laptop.send()
    await teacher.enrol(laptop.name)
    assert (await laptop.state())["executions"] == 1


@pytest.mark.parametrize("sent_at", ["9999-12-31T23:59:59Z", "0001-01-01", "1e300", "now"])
async def test_an_absurd_time_of_sending_is_ignored(teacher: Teacher, sent_at: str) -> None:
    name = unique("pupil")
    body = [{"eventType": "help", "eventTime": datetime.now(UTC).isoformat(), "userId": name}]
    async with client(teacher.replica.url, None) as api:
        answer = await api.post(
            "/events", json=body, params={"key": teacher.key, "sentAt": sent_at}
        )
    assert answer.json()["stored"] == 1
    assert await calls(teacher) == [name]


async def test_an_event_that_is_kept_out_is_counted_once(teacher: Teacher) -> None:
    laptop = Laptop(teacher)
    await laptop.send()
    student = (await laptop.state())["student_id"]
    await teacher.api.delete(f"/classes/{teacher.class_id}/students/{student}")
    for _ in range(3):
        await Laptop(teacher).send()  # rosters change
        await laptop.send()
        await teacher.enrol(unique("pupil"))
        await laptop.send()
    refusals = (await teacher.api.get(f"/classes/{teacher.class_id}/refusals")).json()
    (removed,) = refusals["refusals"]
    assert (removed["reason"], removed["events"]) == ("removed", 6)


async def issue_token(teacher: Teacher, name: str) -> str:
    entry = await teacher.enrol(name)
    path = f"/classes/{teacher.class_id}/tokens"
    (issued,) = (await teacher.api.post(path, json={"student_ids": [entry["student_id"]]})).json()
    text: str = issued["token"]
    return text


async def test_a_students_token_stores_only_their_events(teacher: Teacher) -> None:
    name = unique("pupil")
    token = await issue_token(teacher, name)
    users: list[dict[str, Any]] = [{}, {"userId": name}, {"userId": "x"}, {"userId": "y"}]
    users.append({"emailAddress": "somebody@example.com"})
    body = [{"eventType": "cell_executed", "notebookPath": "n.ipynb"} | each for each in users]
    async with client(teacher.replica.url, None) as api:
        answer = await api.post("/events", json=body, params={"key": token})
    assert answer.status_code == 202, answer.text
    assert answer.json()["stored"] == 3
    assert [item["index"] for item in answer.json()["rejected"]] == [2, 3]
    (state,) = (await teacher.api.get(f"/classes/{teacher.class_id}/now")).json()
    assert (state["executions"], state["verified"]) == (3, True)


async def test_a_notebook_that_one_class_handed_out_decides(
    teacher: Teacher, other: Teacher
) -> None:
    name = unique("pupil")
    token = await issue_token(teacher, name)
    await other.enrol(name)
    notebook = (
        await other.api.post(
            "/notebooks", json={"path": "report.ipynb", "class_id": other.class_id}
        )
    ).json()
    await create_assignment(other.api, class_id=other.class_id, notebook_id=notebook["id"])
    await post(teacher.replica, token, name, notebookPath="./report.ipynb", cellId="c")
    await post(teacher.replica, token, name, notebookPath="notes.ipynb", cellId="c")
    for each in (teacher, other):
        (state,) = (await each.api.get(f"/classes/{each.class_id}/now")).json()
        assert state["executions"] == 1
        assert state["notebook_path"] == ("notes.ipynb" if each is teacher else "report.ipynb")


async def test_claimed_events_change_nothing_beside_the_students_own(teacher: Teacher) -> None:
    name = unique("pupil")
    token = await issue_token(teacher, name)
    await post(teacher.replica, token, name)
    await post(teacher.replica, teacher.key, name, eventType="help", userName="偽名")
    (state,) = (await teacher.api.get(f"/classes/{teacher.class_id}/now")).json()
    assert (state["executions"], state["state"], state["name"]) == (1, "active", None)
    assert await calls(teacher) == []
