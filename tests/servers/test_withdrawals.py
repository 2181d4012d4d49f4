"""What was sent with an ingest key: listed, withdrawn, and restored."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.events import event
from tests.support.influx import read_points
from tests.support.lms import create_class
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.servers import InfluxServer
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually

EPOCH = datetime.fromtimestamp(0, UTC)
LONG_AGO = "2020-01-01T00:00:00Z"
# What is shown or counted, without what says when something was done.
NUMBERS = {
    "states": """
        SELECT s.user_id, t.class_id, t.executions, t.errors, t.last_received_at, t.last_success_at,
            t.error_times, t.alias_at, t.alias_id, t.cell_at, t.cell_id, t.help_at, t.help_stop_at,
            t.name, t.name_at, t.name_by, t.email, t.email_by, t.team, t.team_by
        FROM student_states AS t JOIN students AS s ON s.id = t.student_id
        WHERE t.last_received_at IS NOT NULL ORDER BY 1, 2
    """,
    "cells": "SELECT * FROM cell_progress ORDER BY student_id, alias_id, cell_id",
    "errors": "SELECT * FROM cell_errors ORDER BY student_id, alias_id, cell_id, error",
    "activity": "SELECT * FROM student_activity ORDER BY student_id, class_id, step, start",
}
HOME_ROWS = """
    SELECT event_id, excluded, executed_at AS at FROM cell_executions UNION ALL
    SELECT event_id, excluded, event_time FROM events UNION ALL
    SELECT event_id, excluded, accessed_at FROM notebook_accesses ORDER BY event_id
"""


class Classroom:
    """A class with two keys, on a server that asks for credentials, as its teacher sees it."""

    def __init__(self, replica: Replica, teacher: httpx.AsyncClient) -> None:
        self.replica = replica
        self.api = teacher
        self.id = 0
        self.keys: list[dict[str, Any]] = []

    async def make(self) -> None:
        self.id = (await create_class(self.api))["id"]
        for name in ("good", "bad"):
            body = {"name": name, "class_id": self.id}
            self.keys.append((await self.api.post("/ingest-keys", json=body)).json())

    async def post(self, key: int, *events: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=15) as anybody:
            query = {"key": self.keys[key]["key"]}
            answer = await anybody.post(self.replica.events_url, params=query, json=list(events))
        assert answer.status_code == 202, answer.text
        received: dict[str, Any] = answer.json()
        return received

    async def withdraw(self, key: int = 1, **body: Any) -> dict[str, Any]:
        """Withdraws all that was sent with the key, and waits until that is done."""
        path = f"/ingest-keys/{self.keys[key]['id']}/withdraw"
        answer = await self.api.post(path, json={"since": LONG_AGO} | body)
        assert answer.status_code == 202, answer.text
        return await self.ended(answer.json()["id"], "withdrawn")

    async def replay(self, withdrawal_id: int) -> dict[str, Any]:
        answer = await self.api.post(f"/withdrawals/{withdrawal_id}/replay")
        assert answer.status_code == 202, answer.text
        return await self.ended(withdrawal_id, "replayed")

    async def ended(self, withdrawal_id: int, state: str) -> dict[str, Any]:
        async def receipt() -> dict[str, Any]:
            answer: dict[str, Any] = (await self.api.get(f"/withdrawals/{withdrawal_id}")).json()
            return answer

        return await eventually(receipt, lambda receipt: receipt["state"] == state)

    async def listed(self, key: int = 1, **query: Any) -> list[dict[str, Any]]:
        """All pages of what was sent with the key."""
        path, cursor = f"/ingest-keys/{self.keys[key]['id']}/events", dict[str, str]()
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.api.get(path, params=query | cursor)
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            if answer.json()["next"] is None:
                return items
            cursor = {"cursor": answer.json()["next"]}

    async def ledger(self) -> dict[str, int]:
        async with client(self.replica.url, token("root", "admin")) as admin:
            counts: dict[str, int] = (await admin.get("/health")).json()["ledger"]["total"]
        received = counts.pop("received")
        assert received == sum(counts.values())
        return counts | {"received": received}


@pytest.fixture
def guarded(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"JWT_SECRET": SECRET}


@pytest.fixture
def replica(guarded: dict[str, str]) -> Iterator[Replica]:
    with Replica(guarded) as replica:
        yield replica


@pytest.fixture
async def classroom(replica: Replica) -> AsyncIterator[Classroom]:
    async with client(replica.url, token("sensei", "instructor")) as teacher:
        classroom = Classroom(replica, teacher)
        await classroom.make()
        yield classroom


async def numbers(postgres: Address) -> dict[str, Any]:
    """Everything that is counted, once every batch is counted."""
    await fetch(postgres, "SELECT count_batches(1000000)")
    return {name: await fetch(postgres, query) for name, query in NUMBERS.items()}


def lesson(user: str, **fields: Any) -> list[dict[str, Any]]:
    """A student's events of every kind: two errors and a success, a call for help, a notebook."""
    start = datetime.now(UTC) - timedelta(minutes=5)
    kinds: list[dict[str, Any]] = [
        {"eventType": "session_start", "cellId": None},
        {"eventType": "notebook_opened"},
        {"hasError": True, "errorMessage": "NameError: name 'x' is not defined"},
        {"hasError": True, "errorMessage": "ZeroDivisionError: division by zero"},
        {"eventType": "cell_executed", "executionDurationMs": 12.5, "executionCount": 3},
        {"eventType": "cell_executed", "cellType": "markdown", "cellId": "text"},
        {"eventType": "help"},
        {"eventType": "help_stop"},
        {"eventType": "quiz_answered", "metadata": {"answer": [1, None]}},
        {"eventType": "notebook_saved"},
    ]
    return [
        event(userId=user, eventTime=(start + timedelta(seconds=n)).isoformat(), **fields | kind)
        for n, kind in enumerate(kinds)
    ]


async def test_numbers_are_as_if_it_had_never_been_and_then_as_before(
    classroom: Classroom, postgres: Address
) -> None:
    good = [*lesson("hanako", userName="花子", teamName="チームA"), *lesson("taro")]
    await classroom.post(0, *good)
    without, rows_without = await numbers(postgres), await fetch(postgres, HOME_ROWS)
    bad = [*lesson("hanako", userName="x", cellId="cell-2"), *lesson("jiro", userName="二郎")]
    await classroom.post(1, *bad)
    before, rows_before = await numbers(postgres), await fetch(postgres, HOME_ROWS)
    claims = before["states"][0]
    assert (claims["user_id"], claims["name"]) == ("hanako", "x")

    receipt = await classroom.withdraw()
    assert (receipt["events"], receipt["problem"]) == (20, None)
    now = await numbers(postgres)
    claims = now["states"][0]  # what is claimed is gone, and what was claimed before is not known
    assert [claims[name] for name in ("name", "name_at", "name_by")] == [None, EPOCH, None]
    claims.update({name: without["states"][0][name] for name in ("name", "name_at", "name_by")})
    assert now == without
    rows = await fetch(postgres, HOME_ROWS)
    assert [row for row in rows if row["excluded"] is None] == rows_without
    assert await classroom.ledger() == {
        **dict.fromkeys(("duplicates", "rejected", "spooled", "pending"), 0),
        "received": 40,
        "stored": 20,
        "withdrawn": 20,
    }

    receipt = await classroom.replay(receipt["id"])
    assert (receipt["events"], receipt["problem"]) == (0, None)
    assert await numbers(postgres) == before
    assert await fetch(postgres, HOME_ROWS) == rows_before
    assert await fetch(postgres, "SELECT * FROM rejected_events") == []
    ledger = await classroom.ledger()
    assert (ledger["stored"], ledger["withdrawn"]) == (40, 0)


async def test_a_retry_of_a_withdrawn_event_is_a_duplicate(
    classroom: Classroom, postgres: Address
) -> None:
    events = lesson("hanako")
    await classroom.post(1, *events)
    await classroom.withdraw()
    answer = await classroom.post(1, *events)
    assert (answer["stored"], answer["duplicates"]) == (0, 10)
    assert await fetch(postgres, "SELECT FROM student_activity") == []
    ledger = await classroom.ledger()
    assert (ledger["duplicates"], ledger["withdrawn"]) == (10, 10)


async def test_a_span_and_some_students_are_withdrawn(
    classroom: Classroom, postgres: Address
) -> None:
    await classroom.post(1, *lesson("hanako"))
    await classroom.post(1, event(userId="taro"))
    between = (await fetch(postgres, "SELECT clock_timestamp() AS now"))[0]["now"].isoformat()
    await classroom.post(1, event(userId="taro"), event(userId="jiro"))
    receipt = await classroom.withdraw(until=between)
    assert receipt["events"] == 11
    assert [item["user_id"] for item in await classroom.listed(excluded="withdrawn")] == (
        ["hanako"] * 10 + ["taro"]
    )
    (jiro,) = await fetch(postgres, "SELECT id FROM students WHERE user_id = 'jiro'")
    receipt = await classroom.withdraw(since=between, student_ids=[jiro["id"]])
    assert receipt["events"] == 1
    assert [item["user_id"] for item in await classroom.listed() if not item["excluded"]] == [
        "taro"
    ]
    path = f"/ingest-keys/{classroom.keys[1]['id']}/withdraw"
    answer = await classroom.api.post(path, json={"since": between, "until": between})
    assert answer.status_code == 422
    nothing = await classroom.withdraw(0)
    assert (nothing["state"], nothing["events"]) == ("withdrawn", 0)
    listed = await classroom.api.get("/withdrawals", params={"key_id": classroom.keys[0]["id"]})
    assert [each["id"] for each in listed.json()] == [nothing["id"]]


async def test_a_key_s_events_are_listed_by_student_and_time(classroom: Classroom) -> None:
    events = lesson("hanako")
    await classroom.post(1, *lesson("taro"), *events)
    await classroom.post(0, event(userId="hanako"))
    for limit in (1, 7, 500):
        listed = await classroom.listed(limit=limit)
        assert [item["user_id"] for item in listed] == ["hanako"] * 10 + ["taro"] * 10
        assert [item["event_id"] for item in listed[:10]] == [each["eventId"] for each in events]
    error = listed[2]
    assert (error["status"], error["notebook_path"], error["cell_id"], error["session_id"]) == (
        "error",
        "lesson.ipynb",
        "cell-1",
        "session-1",
    )
    assert (error["class_id"], error["excluded"]) == (classroom.id, None)
    taro = listed[-1]["student_id"]
    assert len(await classroom.listed(student_id=taro, limit=3)) == 10
    assert await classroom.listed(until=LONG_AGO) == []
    path = f"/ingest-keys/{classroom.keys[1]['id']}"
    students = await classroom.api.get(f"{path}/students")
    assert [each["user_id"] for each in students.json()] == ["hanako", "taro"]
    assert (await classroom.api.get(f"{path}/events?cursor=1.2.x")).status_code == 422


async def test_a_dead_letter_says_what_was_withdrawn_and_is_restored_alone(
    classroom: Classroom, postgres: Address
) -> None:
    sent = event(code="1/0", hasError=True, metadata={"a": [None]}, executionCount=4)
    await classroom.post(1, sent, event())
    before = await numbers(postgres)
    receipt = await classroom.withdraw()
    query = {"source": "withdrawn", "class_id": str(classroom.id)}
    letters = (await classroom.api.get("/rejected-events", params=query)).json()
    assert {(each["class_id"], each["credential"]) for each in letters} == {
        (classroom.id, f"key {classroom.keys[1]['id']}")
    }
    for letter in letters:
        answer = await classroom.api.post(f"/rejected-events/{letter['id']}/replay")
        assert answer.json() == {"id": letter["id"], "outcome": "restored"}
        answer = await classroom.api.post(f"/rejected-events/{letter['id']}/replay")
        assert answer.status_code == 403  # as for any that does not exist
    assert await numbers(postgres) == before
    assert (await classroom.api.get(f"/withdrawals/{receipt['id']}")).json()["events"] == 0
    ledger = await classroom.ledger()
    assert (ledger["stored"], ledger["withdrawn"]) == (2, 0)


async def test_a_server_killed_in_the_middle_ends_the_work_at_its_next_start(
    guarded: dict[str, str], postgres: Address
) -> None:
    with Replica(guarded) as replica:
        async with client(replica.url, token("sensei", "instructor")) as teacher:
            classroom = Classroom(replica, teacher)
            await classroom.make()
            for user in range(40):
                await classroom.post(1, *lesson(f"student-{user}"))
            before = await numbers(postgres)
            path = f"/ingest-keys/{classroom.keys[1]['id']}/withdraw"
            receipt = (await teacher.post(path, json={"since": LONG_AGO})).json()
            await eventually(
                lambda: fetch(postgres, "SELECT events FROM withdrawals"),
                lambda rows: 0 < rows[0]["events"] < 400,
            )
            replica.stop(signal.SIGKILL)
            (left,) = await fetch(postgres, "SELECT count(*) AS n FROM withdrawal_steps")
            assert left["n"] > 0
            replica.start()
            receipt = await classroom.ended(receipt["id"], "withdrawn")
            assert receipt["events"] == 400
            assert await numbers(postgres) == {name: [] for name in NUMBERS}
            assert (await classroom.ledger())["withdrawn"] == 400
            await classroom.replay(receipt["id"])
            assert await numbers(postgres) == before


async def test_points_are_deleted_and_written_again(
    guarded: dict[str, str], postgres: Address, influx_server: InfluxServer
) -> None:
    bucket = postgres["database"]
    influx = {"INFLUXDB_URL": influx_server.url, "INFLUXDB_BUCKET": bucket}

    async def points() -> list[dict[str, Any]]:
        return await read_points(influx_server, bucket)

    with Replica(guarded | influx) as replica:
        async with client(replica.url, token("sensei", "instructor")) as teacher:
            classroom = Classroom(replica, teacher)
            await classroom.make()
            odd = 'O\'Hara\\ "x", y=1\n'
            bad = [*lesson("hanako"), event(userId=odd, eventType="it's")]
            await classroom.post(0, *lesson("hanako"))
            kept = await eventually(points, lambda points: len(points) == 10)
            await classroom.post(1, *bad)
            both = await eventually(points, lambda points: len(points) == 21)
            receipt = await classroom.withdraw()
            assert await eventually(points, lambda points: len(points) == 10) == kept
            await classroom.replay(receipt["id"])
            # The sweep of the outbox comes every 20 seconds.
            again = await eventually(points, lambda points: len(points) == 21, within=40)
            assert again == both
            assert await fetch(postgres, "SELECT * FROM outbox_deletions") == []


async def test_points_still_to_be_written_when_influxdb_returns_are_left_out(
    guarded: dict[str, str], postgres: Address, influx_server: InfluxServer
) -> None:
    bucket = postgres["database"]
    influx = {"INFLUXDB_URL": influx_server.url, "INFLUXDB_BUCKET": bucket}
    down = {"INFLUXDB_URL": "http://127.0.0.1:9", "INFLUXDB_BUCKET": bucket}
    with Replica(guarded | down) as replica:
        async with client(replica.url, token("sensei", "instructor")) as teacher:
            classroom = Classroom(replica, teacher)
            await classroom.make()
            await classroom.post(0, event())
            await classroom.post(1, event())
            await classroom.withdraw()
    with Replica(guarded | influx) as replica:
        await eventually(
            lambda: fetch(postgres, "SELECT FROM outbox_deletions"), lambda rows: not rows
        )
        assert len(await read_points(influx_server, bucket)) == 1


async def test_only_teachers_of_the_class_withdraw_and_its_staff_list(
    classroom: Classroom, postgres: Address
) -> None:
    await classroom.post(1, event())
    path = f"/ingest-keys/{classroom.keys[1]['id']}"
    body = {"user_id": "assistant", "role": "assistant"}
    assert (await classroom.api.post(f"/classes/{classroom.id}/students", json=body)).is_success
    receipt = await classroom.withdraw()
    calls = [
        ("GET", f"{path}/events", "staff"),
        ("GET", f"{path}/students", "staff"),
        ("GET", f"/withdrawals/{receipt['id']}", "staff"),
        ("POST", f"{path}/withdraw", "teachers"),
        ("POST", f"/withdrawals/{receipt['id']}/replay", "teachers"),
    ]
    statuses = {}
    for name, role in (("assistant", "instructor"), ("kyoju", "instructor"), ("hanako", "student")):
        async with client(classroom.replica.url, token(name, role)) as api:
            for method, url, _ in calls:
                answer = await api.request(
                    method, url, json={"since": LONG_AGO} if "withdraw" in url else None
                )
                statuses[name, url] = answer.status_code
            if role == "instructor":
                listed = (await api.get("/withdrawals")).json()
                letters = (await api.get("/rejected-events")).json()
                assert len(listed) == len(letters) == (name == "assistant")
    for _, url, who in calls:
        assert statuses["assistant", url] == (200 if who == "staff" else 403)
        assert statuses["kyoju", url] == statuses["hanako", url] == 403
    rows = await fetch(
        postgres, "SELECT name, operation FROM audit_log WHERE operation ~ '^POST.*draw$'"
    )
    assert rows == [
        {"name": "sensei", "operation": "POST /api/v1/ingest-keys/{key_id}/withdraw"},
    ]


async def test_what_a_refused_student_did_is_withdrawn(
    classroom: Classroom, postgres: Address
) -> None:
    path = f"/classes/{classroom.id}"
    assert (await classroom.api.put(path, json={"join_policy": "approve"})).is_success
    await classroom.post(1, *lesson("hanako"), *lesson("taro"))
    waiting = (await classroom.api.get(f"{path}/waiting")).json()
    ids = {each["user_id"]: each["student_id"] for each in waiting}
    body = {"student_ids": [ids["hanako"]]}
    assert (await classroom.api.post(f"{path}/waiting/refuse", json=body)).is_success
    (withdrawal,) = (
        await classroom.api.get("/withdrawals", params={"class_id": classroom.id})
    ).json()
    receipt = await classroom.ended(withdrawal["id"], "withdrawn")
    assert (receipt["events"], receipt["key_id"]) == (10, None)
    listed = await classroom.listed(excluded="withdrawn")
    assert {item["user_id"] for item in listed} == {"hanako"}


async def test_a_student_s_token_is_withdrawn_by_its_teacher_in_the_class_only(
    classroom: Classroom, postgres: Address
) -> None:
    other_id = (await create_class(classroom.api))["id"]
    for class_id in (classroom.id, other_id):
        body = {"user_id": "hanako"}
        answer = await classroom.api.post(f"/classes/{class_id}/students", json=body)
        assert answer.is_success
    answer = await classroom.api.post(f"/classes/{classroom.id}/tokens", json={})
    (issued,) = answer.json()
    codes = {
        each["id"]: each["class_code"] for each in (await classroom.api.get("/classes")).json()
    }
    async with httpx.AsyncClient(timeout=15) as anybody:
        query = {"key": issued["token"]}
        events = [event(classCode=codes[class_id]) for class_id in (classroom.id, other_id)]
        answer = await anybody.post(classroom.replica.events_url, params=query, json=events)
        assert answer.json()["stored"] == 2
    path = f"/student-tokens/{issued['id']}"
    (listed,) = (await classroom.api.get(f"{path}/events")).json()["items"]
    assert listed["class_id"] == classroom.id
    answer = await classroom.api.post(f"{path}/withdraw", json={"since": LONG_AGO})
    receipt = await classroom.ended(answer.json()["id"], "withdrawn")
    assert (receipt["events"], receipt["token_id"]) == (1, issued["id"])
    async with client(classroom.replica.url, token("root", "admin")) as admin:
        items = (await admin.get(f"{path}/events")).json()["items"]
        assert [item["excluded"] for item in items if item["class_id"] == other_id] == [None]
        answer = await admin.post(f"{path}/withdraw", json={"since": LONG_AGO})
        assert answer.status_code == 202
    assert (await classroom.ended(answer.json()["id"], "withdrawn"))["events"] == 1


async def test_what_was_assigned_to_another_class_is_its_own(
    classroom: Classroom, postgres: Address
) -> None:
    await classroom.post(1, *lesson("hanako"), *lesson("taro"))
    other_id = (await create_class(classroom.api))["id"]
    (student,) = [
        each["student_id"] for each in await classroom.listed() if each["user_id"] == "taro"
    ][:1]
    move = {"student_id": student, "from_class_id": classroom.id, "since": LONG_AGO}
    answer = await classroom.api.post(f"/classes/{other_id}/assign", json=move)
    assert answer.is_success, answer.text
    assert {each["user_id"] for each in await classroom.listed()} == {"hanako"}
    receipt = await classroom.withdraw()
    assert receipt["events"] == len(lesson("hanako"))
    query = "SELECT count(*) AS n FROM cell_executions WHERE class_id = $1 AND excluded IS NULL"
    (kept,) = await fetch(postgres, query.replace("$1", str(other_id)))
    assert kept["n"] > 0


async def test_numbers_stay_exact_while_events_arrive(
    classroom: Classroom, postgres: Address
) -> None:
    users = [f"student-{number}" for number in range(4)]
    for user in users:
        await classroom.post(1, *lesson(user), *lesson(user))
    receipts: list[dict[str, Any]] = []

    async def withdraw_and_restore() -> None:
        for _ in range(3):
            receipt = await classroom.withdraw()
            receipts.append(receipt)
            await classroom.replay(receipt["id"])
        receipts.append(await classroom.withdraw())

    async with asyncio.TaskGroup() as group:
        work = group.create_task(withdraw_and_restore())
        sent = 0
        while not work.done():
            await classroom.post(0, *(event(userId=user, hasError=sent % 3 == 0) for user in users))
            sent += 1
    assert {receipt["events"] for receipt in receipts} == {80}
    counted = await numbers(postgres)
    executions = [row["executions"] for row in counted["states"]]
    assert executions == [sent] * 4
    await fetch(postgres, "SELECT recount_students(array_agg(id)) FROM students")
    assert await numbers(postgres) == counted
    ledger = await classroom.ledger()
    assert (ledger["stored"], ledger["withdrawn"]) == (4 * sent, 80)


async def test_a_replayed_item_keeps_the_key_that_it_was_sent_with(
    classroom: Classroom, postgres: Address
) -> None:
    path = f"/classes/{classroom.id}"
    assert (await classroom.api.put(path, json={"join_policy": "roster"})).is_success
    refused = (await classroom.post(1, event()))["rejected"]
    assert [each["reason"] for each in refused] == ["not_on_roster"]
    (letter,) = (await classroom.api.get("/rejected-events")).json()
    credential = f"key {classroom.keys[1]['id']}"
    assert (letter["source"], letter["credential"], letter["class_id"]) == (
        "ingest",
        credential,
        classroom.id,
    )
    body = {"user_id": "hanako"}
    assert (await classroom.api.post(f"{path}/students", json=body)).is_success
    key = f"/ingest-keys/{classroom.keys[1]['id']}"
    assert (await classroom.api.delete(key)).is_success
    answer = await classroom.api.post(f"/rejected-events/{letter['id']}/replay")
    assert answer.json() == {"id": letter["id"], "outcome": "stored"}
    assert await fetch(postgres, "SELECT credential, class_id FROM cell_executions") == [
        {"credential": credential, "class_id": classroom.id}
    ]
