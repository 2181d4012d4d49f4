"""Corrections of whose events they are: moved to another class, or to another id of the student."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually

LONG_AGO = "2020-01-01T00:00:00Z"
# What is counted, by names: ids differ.
STATES = """
    SELECT s.user_id, t.class_id, t.executions, t.errors, t.last_received_at, t.last_success_at,
        t.error_times, t.alias_at, a.path, a.class_id AS alias_class, t.cell_at, c.cell_id,
        t.help_at, t.help_stop_at, t.name
    FROM student_states AS t JOIN students AS s ON s.id = t.student_id
    LEFT JOIN notebook_aliases AS a ON a.id = t.alias_id LEFT JOIN cells AS c ON c.id = t.cell_id
    WHERE t.last_received_at IS NOT NULL ORDER BY 1, 2
"""
CELLS = """
    SELECT s.user_id, a.class_id, a.path, c.cell_id, p.executions, p.errors, p.durations::text
    FROM cell_progress AS p JOIN students AS s ON s.id = p.student_id
    JOIN notebook_aliases AS a ON a.id = p.alias_id
    JOIN cells AS c ON c.id = p.cell_id AND c.alias_id = a.id ORDER BY 1, 2, 3, 4
"""
ACTIVITY = """
    SELECT s.user_id, a.class_id, a.step, a.start, a.executions::text, a.errors::text
    FROM student_activity AS a JOIN students AS s ON s.id = a.student_id ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def replica(environment: dict[str, str]) -> Iterator[Replica]:
    with Replica(environment | {"JWT_SECRET": SECRET}) as replica:
        yield replica


@pytest.fixture
async def admin(replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with client(replica.url, token("root", "admin")) as api:
        yield api


async def key_of(api: httpx.AsyncClient, class_id: int) -> str:
    created = await create(api, "/ingest-keys", name="x", class_id=class_id)
    key: str = created["key"]
    return key


async def post(replica: Replica, key: str, *events: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=15) as anybody:
        answer = await anybody.post(replica.events_url, params={"key": key}, json=list(events))
    assert answer.status_code == 202, answer.text
    received: dict[str, Any] = answer.json()
    return received


async def numbers(postgres: Address) -> list[Any]:
    await fetch(postgres, "SELECT count_batches(1000000)")
    return [await fetch(postgres, query) for query in (STATES, CELLS, ACTIVITY)]


def renamed(rows: list[Any], **values: Any) -> list[Any]:
    """The numbers, with other values in the columns that have these names."""
    return [
        [{name: values.get(name, value) for name, value in row.items()} for row in table]
        for table in rows
    ]


def lesson(user: str) -> list[dict[str, Any]]:
    start = datetime.now(UTC) - timedelta(minutes=5)
    kinds: list[dict[str, Any]] = [
        {"eventType": "notebook_opened"},
        {"hasError": True, "errorMessage": "NameError: x"},
        {"executionDurationMs": 12.5},
        {"cellId": "cell-2", "cellIndex": 1},
        {"eventType": "help"},
    ]
    return [
        event(userId=user, eventTime=(start + timedelta(seconds=n)).isoformat(), **kind)
        for n, kind in enumerate(kinds)
    ]


async def test_a_student_s_events_of_one_class_become_another_s(
    replica: Replica, admin: httpx.AsyncClient, postgres: Address
) -> None:
    one, two = [(await create_class(admin))["id"] for _ in range(2)]
    await post(replica, await key_of(admin, one), *lesson("hanako"))
    (before, cells, activity) = await numbers(postgres)
    assert {row["class_id"] for row in (*before, *cells, *activity)} == {one}
    body = {"user_id": "hanako", "since": LONG_AGO, "from_class_id": one}
    answer = await admin.post(f"/classes/{two}/assign", json=body)
    assert answer.json() == {
        "student_id": answer.json()["student_id"],
        "class_id": two,
        "from_class_id": one,
        "events": 5,
    }
    expected = renamed([before, cells, activity], class_id=two, alias_class=two)
    for row in expected[0]:
        row["name"] = None
    assert await numbers(postgres) == expected
    # Back again: the same aliases and cells as before.
    body["from_class_id"] = two
    assert (await admin.post(f"/classes/{one}/assign", json=body)).json()["events"] == 5
    assert await numbers(postgres) == [before, cells, activity]
    assert (await admin.post(f"/classes/{one}/assign", json=body)).json()["events"] == 0


async def test_many_events_move_in_steps_and_only_those_of_the_span(
    replica: Replica, admin: httpx.AsyncClient, postgres: Address
) -> None:
    one, two = [(await create_class(admin))["id"] for _ in range(2)]
    key = await key_of(admin, one)
    for _ in range(5):
        await post(replica, key, *(event() for _ in range(500)))
    (now,) = await fetch(postgres, "SELECT clock_timestamp() AS at")
    await post(replica, key, event(), event(userId="taro"))
    body = {
        "user_id": "hanako",
        "since": LONG_AGO,
        "until": now["at"].isoformat(),
        "from_class_id": one,
    }
    answer = await admin.post(f"/classes/{two}/assign", json=body)
    assert answer.json()["events"] == 2500
    rows = await fetch(
        postgres, "SELECT class_id, count(*) AS n FROM cell_executions GROUP BY 1 ORDER BY 1"
    )
    assert rows == [{"class_id": one, "n": 2}, {"class_id": two, "n": 2500}]
    states, _, _ = await numbers(postgres)
    assert [(row["class_id"], row["executions"]) for row in states] == [
        (one, 1),
        (two, 2500),
        (one, 1),
    ]


async def test_a_teacher_moves_between_classes_they_teach_and_an_administrator_from_none(
    replica: Replica, admin: httpx.AsyncClient, postgres: Address
) -> None:
    async with (
        client(replica.url, token("sensei", "instructor")) as teacher,
        client(replica.url, token("kyoju", "instructor")) as other,
    ):
        ours, more = [(await create_class(teacher))["id"] for _ in range(2)]
        theirs = (await create_class(other))["id"]
        await post(replica, await key_of(teacher, ours), *lesson("hanako"))
        await post(replica, await key_of(other, theirs), *lesson("hanako"))
        await post(replica, await key_of(admin, ours), event(userId="hanako", classCode="unknown"))

        async def status(api: httpx.AsyncClient, to: int, source: int | None) -> int:
            body = {"user_id": "hanako", "since": LONG_AGO, "from_class_id": source}
            return (await api.post(f"/classes/{to}/assign", json=body)).status_code

        assert await status(teacher, ours, theirs) == 403
        assert await status(other, theirs, ours) == 403
        assert await status(teacher, ours, None) == 403
        assert await status(teacher, more, ours) == 200
        assert await status(admin, more, None) == 200
        assert await status(admin, more, more) == 422
        assert await status(admin, more, 999_999) == 422
        assert await status(admin, 999_999, more) == 404
        states, _, _ = await numbers(postgres)
        assert {row["class_id"] for row in states} == {more, theirs}


async def test_two_ids_are_one_student(
    replica: Replica, admin: httpx.AsyncClient, postgres: Address
) -> None:
    class_id = (await create_class(admin))["id"]
    key = await key_of(admin, class_id)
    assignment = await create_assignment(admin, class_id=class_id)
    same = event(userId="s1")
    await post(replica, key, *lesson("s1"), same, event(userId="s1", userName="花子"))
    hanako = [*lesson("hanako@example.org"), same | {"userId": "hanako@example.org"}]
    await post(replica, key, *hanako)
    students = {each["user_id"]: each["id"] for each in (await admin.get("/students")).json()}
    old, into = students["hanako@example.org"], students["s1"]
    handed_in = [
        await create(admin, "/submissions", assignment_id=assignment["id"], student_id=student)
        for student in (old, into, old)
    ]
    answer = await admin.post(f"/students/{old}/merge", json={"into": into})
    assert answer.json() == {
        "student_id": old,
        "user_id": "hanako@example.org",
        "into": into,
        "into_user_id": "s1",
    }
    await eventually(
        lambda: fetch(postgres, "SELECT FROM student_states WHERE student_id = $1", old),
        lambda rows: not rows,
    )
    states, cells, activity = await numbers(postgres)
    assert {row["user_id"] for row in (*states, *cells, *activity)} == {"s1"}
    assert [(row["executions"], row["errors"], row["name"]) for row in states] == [(8, 2, "花子")]
    rows = await fetch(
        postgres, "SELECT id, attempt FROM assignment_submissions WHERE student_id = $1", into
    )
    attempts = {row["id"]: row["attempt"] for row in rows}
    assert attempts == {each["id"]: n for n, each in enumerate(handed_in, 1)}
    roster = (await admin.get(f"/classes/{class_id}/students")).json()
    assert [each["user_id"] for each in roster if each["role"] == "student"] == ["s1"]
    ledger = (await admin.get("/health")).json()["ledger"]["total"]
    assert (ledger["stored"], ledger["duplicates"], ledger["received"]) == (12, 1, 13)

    # The id is still in the replica's memory, and a retry is a duplicate of the merged event.
    await post(replica, key, event(userId="hanako@example.org"), hanako[0])

    async def merged() -> list[tuple[Any, ...]]:
        states, _, _ = await numbers(postgres)
        return [(row["user_id"], row["executions"]) for row in states]

    await eventually(merged, lambda rows: rows == [("s1", 9)])
    assert await fetch(postgres, "SELECT FROM events WHERE student_id = $1", old) == []
    for student, body, status in (
        (old, {"into": into}, 409),
        (into, {"into": old}, 409),
        (into, {"into": into}, 422),
        (into, {"into": 999_999}, 422),
        (999_999, {"into": into}, 404),
    ):
        answer = await admin.post(f"/students/{student}/merge", json=body)
        assert answer.status_code == status


async def test_what_was_withdrawn_of_a_merged_id_is_restored_under_the_other(
    replica: Replica, admin: httpx.AsyncClient, postgres: Address
) -> None:
    class_id = (await create_class(admin))["id"]
    key = await create(admin, "/ingest-keys", name="x", class_id=class_id)
    await post(replica, key["key"], *lesson("hanako"), event(userId="s1"))
    students = {each["user_id"]: each["id"] for each in (await admin.get("/students")).json()}
    path = f"/ingest-keys/{key['id']}/withdraw"
    body = {"since": LONG_AGO, "student_ids": [students["hanako"]]}
    receipt = (await admin.post(path, json=body)).json()

    async def state() -> str:
        current = (await admin.get(f"/withdrawals/{receipt['id']}")).json()
        return f"{current['state']} {current['events']}"

    await eventually(state, lambda state: state == "withdrawn 5")
    merge = f"/students/{students['hanako']}/merge"
    assert (await admin.post(merge, json={"into": students["s1"]})).is_success
    await eventually(
        lambda: fetch(
            postgres, "SELECT FROM student_states WHERE student_id = $1", students["hanako"]
        ),
        lambda rows: not rows,
    )
    assert (await admin.post(f"/withdrawals/{receipt['id']}/replay")).is_success
    await eventually(state, lambda state: state == "replayed 0")
    states, _, _ = await numbers(postgres)
    assert [(row["user_id"], row["executions"], row["errors"]) for row in states] == [("s1", 4, 1)]


async def test_a_merged_id_still_names_the_student(
    replica: Replica, admin: httpx.AsyncClient
) -> None:
    class_id = (await create_class(admin))["id"]
    lines = {
        user: (await create(admin, f"/classes/{class_id}/students", user_id=user))["student_id"]
        for user in ("hanako@example.org", "s1")
    }
    issued = (await admin.post(f"/classes/{class_id}/tokens", json={})).json()
    old, into = lines.values()
    assert (await admin.post(f"/students/{old}/merge", json={"into": into})).is_success
    now = datetime.now(UTC).isoformat()
    async with httpx.AsyncClient(timeout=15) as anybody:

        async def stored() -> set[int]:
            """The statuses of each token for each of the ids, until the keyring is read again."""
            return {
                (
                    await anybody.post(
                        replica.events_url,
                        params={"key": each["token"]},
                        json=[event(userId=user, eventId=f"{each['id']} {user}", eventTime=now)],
                    )
                ).status_code
                for each in issued
                for user in lines
            }

        await eventually(stored, lambda statuses: statuses == {202})
    for body in ({"user_id": "hanako@example.org"}, {"student_id": old}):
        line = await create(admin, f"/classes/{class_id}/students", **body)
        assert line["user_id"] == "s1"
    (state,) = (await admin.get(f"/classes/{class_id}/now")).json()
    assert (state["user_id"], state["executions"], state["verified"]) == ("s1", 4, True)


async def test_another_replica_stores_events_of_a_merged_id_under_the_other(
    replica: Replica, environment: dict[str, str], admin: httpx.AsyncClient, postgres: Address
) -> None:
    class_id = (await create_class(admin))["id"]
    key = await key_of(admin, class_id)
    await post(replica, key, event(userId="s1"), event(userId="hanako"))
    students = {each["user_id"]: each["id"] for each in (await admin.get("/students")).json()}
    body = {"into": students["s1"]}
    assert (await admin.post(f"/students/{students['hanako']}/merge", json=body)).is_success
    second = environment | {"JWT_SECRET": SECRET, "DATA_DIR": environment["DATA_DIR"] + "2"}
    with Replica(second) as other:
        assert (await post(other, key, event(userId="hanako")))["stored"] == 1
        rows = await fetch(
            postgres,
            "SELECT count(*) AS n FROM cell_executions WHERE student_id = $1",
            students["s1"],
        )
        assert rows[0]["n"] >= 2


async def test_a_replica_that_knows_a_merged_id_enrols_it_no_more(
    replica: Replica, environment: dict[str, str], admin: httpx.AsyncClient
) -> None:
    class_id = (await create_class(admin))["id"]
    key = await key_of(admin, class_id)
    second = environment | {"JWT_SECRET": SECRET, "DATA_DIR": environment["DATA_DIR"] + "2"}
    with Replica(second) as other:
        await post(other, key, event(userId="s1"), event(userId="hanako"))
        students = {each["user_id"]: each["id"] for each in (await admin.get("/students")).json()}
        body = {"into": students["s1"]}
        assert (await admin.post(f"/students/{students['hanako']}/merge", json=body)).is_success
        await post(other, key, event(userId="hanako"))
        roster = (await admin.get(f"/classes/{class_id}/students")).json()
        assert [each["user_id"] for each in roster if each["role"] == "student"] == ["s1"]
        (state,) = (await admin.get(f"/classes/{class_id}/now")).json()
        assert state["executions"] >= 2
