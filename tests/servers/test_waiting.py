"""Who waits for a class, what it refused, and who was heard in none, by the API."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.lms import joining, refusals
from tests.support.lms import create, create_class, unique
from tests.support.replicas import Replica
from tests.support.roster import connected, enrol
from tests.support.tokens import client, token


@pytest.fixture
async def rows(school: Replica) -> AsyncIterator[asyncpg.Connection]:
    async with connected(school) as connection:
        yield connection


async def let_join(
    connection: asyncpg.Connection, class_id: int, *user_ids: str, name: str | None = None
) -> dict[str, int]:
    """Has students with these ids post with a key of the class; their ids in the database."""
    ids = {}
    for user_id in user_ids:
        student = await connection.fetchval(
            "INSERT INTO students (user_id) VALUES ($1) RETURNING id", user_id
        )
        await connection.execute("SELECT join_class($1, $2, 'key 7')", class_id, [student])
        await connection.execute(
            """INSERT INTO student_states (student_id, class_id, executions, last_received_at, name)
            VALUES ($1, $2, 3, now(), $3)""",
            student,
            class_id,
            name,
        )
        ids[user_id] = student
    return ids


async def decide(
    api: httpx.AsyncClient, class_id: int, decision: str, *student_ids: int
) -> list[str]:
    """The user ids of those who were let in or refused; without ids everybody."""
    body = {"student_ids": student_ids} if student_ids else {}
    answer = await api.post(f"/classes/{class_id}/waiting/{decision}", json=body)
    assert answer.status_code == 200, answer.text
    return [each["user_id"] for each in answer.json()]


async def waiting(api: httpx.AsyncClient, class_id: int) -> list[str]:
    answer = await api.get(f"/classes/{class_id}/waiting")
    assert answer.headers["X-Total-Count"] == str(len(answer.json()))
    return [each["user_id"] for each in answer.json()]


async def post(
    api: httpx.AsyncClient, key: str | None, user_id: str, **fields: Any
) -> dict[str, Any]:
    """The answer to one executed cell, posted as a student's extension does."""
    body = [{"eventType": "cell_executed", "userId": user_id, "notebookPath": "a.ipynb"} | fields]
    async with httpx.AsyncClient(base_url=api.base_url, timeout=15) as extension:
        answer = await extension.post("/events", json=body, params={"key": key} if key else {})
    assert answer.status_code == 202, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


async def shown(api: httpx.AsyncClient, class_id: int) -> dict[str, int]:
    """The executions of the students whom the class shows."""
    answer = await api.get(f"/classes/{class_id}/now")
    return {each["user_id"]: each["executions"] for each in answer.json()}


async def roster(connection: asyncpg.Connection, class_id: int) -> dict[str, str]:
    found = await connection.fetch(
        """SELECT user_id, role FROM student_classes JOIN students ON students.id = student_id
        WHERE class_id = $1""",
        class_id,
    )
    return {row["user_id"]: row["role"] for row in found}


async def test_who_waits_is_listed_let_in_and_refused(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    one, two, three, four = (unique("s") for _ in range(4))
    ids = await let_join(rows, class_id, one, two, three, name="花子")
    ids |= await let_join(rows, class_id, four, name="\u200b ")
    listed = (await api.get(f"/classes/{class_id}/waiting")).json()
    assert [each["user_id"] for each in listed] == [one, two, three, four]
    assert [each["name"] for each in listed] == ["花子"] * 3 + [None]
    assert listed[0] | {"waiting_since": 0, "last_received_at": 0} == {
        "student_id": ids[one],
        "user_id": one,
        "name": "花子",
        "team": None,
        "waiting_since": 0,
        "credential": "key 7",
        "executions": 3,
        "last_received_at": 0,
    }
    page = await api.get(f"/classes/{class_id}/waiting?skip=1&limit=2")
    assert [each["user_id"] for each in page.json()] == [two, three]
    assert page.headers["X-Total-Count"] == "4"
    assert await decide(api, class_id, "admit", ids[two], 999_999) == [two]
    assert await decide(api, class_id, "refuse", ids[two], ids[three]) == [three]
    assert await waiting(api, class_id) == [one, four]
    assert sorted(await decide(api, class_id, "admit")) == sorted([one, four])
    assert await roster(rows, class_id) == dict.fromkeys((one, two, four), "student")
    assert await decide(api, class_id, "admit") == []
    outcome = await rows.fetchval(
        "SELECT outcome FROM join_class($1, $2, 'key 7')", class_id, [ids[three]]
    )
    assert outcome == "removed"


async def test_who_was_let_in_is_no_new_name_of_the_day(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, max_new_names=1))["id"]
    first, second = unique("s"), unique("s")
    await let_join(rows, class_id, first, second)
    assert await waiting(api, class_id) == [second]
    await decide(api, class_id, "admit")
    await rows.execute(
        "UPDATE student_classes SET joined_at = joined_at - interval '1 day' WHERE joined_by > ''"
    )
    third = unique("s")
    await let_join(rows, class_id, third)
    assert (await roster(rows, class_id))[third] == "student"


async def test_an_unknown_class_has_nobody_waiting(api: httpx.AsyncClient) -> None:
    for answer in (
        await api.get("/classes/999999/waiting"),
        await api.get("/classes/999999/refusals"),
        await api.post("/classes/999999/waiting/admit", json={}),
        await api.post("/classes/999999/waiting/refuse", json={}),
    ):
        assert answer.status_code == 404


async def test_two_who_decide_at_once_do_not_both(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    names = [unique("s") for _ in range(30)]
    await let_join(rows, class_id, *names)
    answers = await asyncio.gather(
        *(decide(api, class_id, decision) for decision in ("admit", "refuse") * 3)
    )
    assert sorted(name for answer in answers for name in answer) == sorted(names)
    members = len(await roster(rows, class_id))
    removed = await rows.fetchval(
        "SELECT count(*) FROM class_removals WHERE class_id = $1", class_id
    )
    assert members + removed == 30


async def test_after_thirty_days_they_are_refused(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    old, new = unique("old"), unique("new")
    ids = await let_join(rows, class_id, old, new)
    await rows.execute(
        "UPDATE student_classes SET joined_at = now() - interval '31 days' WHERE student_id = $1",
        ids[old],
    )
    async with rows.transaction():
        await joining.expire(rows)
    assert await roster(rows, class_id) == {new: "waiting"}
    (removal,) = await rows.fetch(
        "SELECT student_id, removed_by FROM class_removals WHERE class_id = $1", class_id
    )
    assert tuple(removal) == (ids[old], "housekeeping")


@pytest.mark.parametrize(
    "fields", [{"join_policy": "closed"}, {"max_new_names": -1}, {"max_new_names": None}]
)
async def test_a_policy_that_does_not_exist_is_refused(
    api: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    created = await create_class(api)
    assert (created["join_policy"], created["max_new_names"]) == ("open", 500)
    answer = await api.put(f"/classes/{created['id']}", json=fields)
    assert answer.status_code == 422
    changed = await api.put(f"/classes/{created['id']}", json={"join_policy": "roster"})
    assert changed.json()["join_policy"] == "roster"


async def test_refusals_shared_ids_and_the_silent_are_listed(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api))["id"]
    heard, silent, shared = unique("heard"), unique("silent"), unique("shared")
    await enrol(rows, class_id, silent)
    ids = await let_join(rows, class_id, heard, shared)
    await rows.execute(
        "INSERT INTO shared_ids VALUES ($1, $2, now() - interval '1 hour', now())",
        class_id,
        ids[shared],
    )
    note = "SELECT note_refusals($1, $2, $3, $4)"
    await rows.execute(note, class_id, "not_on_roster", ["x", "y", ""], [2, 3, 5])
    await rows.execute(note, class_id, "ended_key", ["0a1b"], [7])
    answer = (await api.get(f"/classes/{class_id}/refusals")).json()
    refused = {each.pop("reason"): each for each in answer["refusals"]}
    assert refused["not_on_roster"] | {"first_at": 0, "last_at": 0} == {
        "events": 10,
        "senders": 2,
        "is_more": True,
        "user_ids": ["x", "y"],
        "first_at": 0,
        "last_at": 0,
    }
    ended = refused["ended_key"]
    assert (ended["events"], ended["senders"], ended["user_ids"]) == (7, 1, [])
    assert [each["user_id"] for each in answer["shared_ids"]] == [shared]
    assert answer["never_heard"] == 1
    assert [each["user_id"] for each in answer["silent"]] == [silent]
    await rows.execute("UPDATE class_refusals SET last_at = now() - interval '31 days'")
    await rows.execute("UPDATE shared_ids SET last_at = now() - interval '31 days'")
    await refusals.expire(rows)
    answer = (await api.get(f"/classes/{class_id}/refusals")).json()
    assert (answer["refusals"], answer["shared_ids"]) == ([], [])


async def test_on_an_open_server_who_posts_in_no_class_is_heard(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id, user_id = (await create_class(api))["id"], unique("s")
    await post(api, None, user_id, userName="太郎")
    (entry,) = [each for each in (await api.get("/heard")).json() if each["user_id"] == user_id]
    assert entry["name"] == "太郎"
    await enrol(rows, class_id, user_id)
    assert user_id not in {each["user_id"] for each in (await api.get("/heard")).json()}
    answer = (await api.get(f"/classes/{class_id}/refusals")).json()
    assert answer["never_heard"] == 0
    student = entry["student_id"]
    await rows.execute("DELETE FROM student_classes WHERE student_id = $1", student)
    await rows.execute(
        "INSERT INTO class_removals (student_id, class_id, removed_by) VALUES ($1, $2, 'ann')",
        student,
        class_id,
    )
    assert user_id not in {each["user_id"] for each in (await api.get("/heard")).json()}


async def test_a_teacher_sees_who_was_heard_by_their_keys(guarded_school: Replica) -> None:
    names = unique("sensei"), unique("kyoju")
    students = unique("s"), unique("s")
    for name, student in zip(names, students, strict=True):
        async with client(guarded_school.url, token(name, "instructor")) as api:
            class_id, other = (await create_class(api))["id"], await create_class(api)
            key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
            await post(api, key, student, userName="花子", classCode=other["class_code"])
    for name, student in zip(names, students, strict=True):
        async with client(guarded_school.url, token(name, "instructor")) as api:
            answer = await api.get("/heard")
            assert [(each["user_id"], each["name"]) for each in answer.json()] == [
                (student, "花子")
            ]
            assert answer.headers["X-Total-Count"] == "1"
    async with client(guarded_school.url, token("root", "admin")) as api:
        heard = {each["user_id"]: each["name"] for each in (await api.get("/heard")).json()}
        assert heard | dict.fromkeys(students, "花子") == heard


async def test_fifty_new_names_at_once_do_not_exceed_those_of_a_day(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, max_new_names=10))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    names = [unique("s") for _ in range(50)]
    answers = await asyncio.gather(*(post(api, key, name) for name in names))
    assert [(each["stored"], each["rejected"]) for each in answers] == [(1, [])] * 50
    roles = Counter((await roster(rows, class_id)).values())
    assert roles == {"student": 10, "waiting": 40}
    assert list((await shown(api, class_id)).values()) == [1] * 10
    assert len(await decide(api, class_id, "admit")) == 40
    assert await shown(api, class_id) == dict.fromkeys(names, 1)


async def test_what_the_refused_did_is_not_shown(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    name = unique("s")
    await post(api, key, name)
    assert await decide(api, class_id, "refuse") == [name]
    assert (await post(api, key, name))["stored"] == 1  # in no class
    assert await shown(api, class_id) == {}
    assert await waiting(api, class_id) == []
    (refusal,) = (await api.get(f"/classes/{class_id}/refusals")).json()["refusals"]
    assert (refusal["reason"], refusal["events"], refusal["user_ids"]) == ("removed", 1, [name])


async def test_an_id_that_is_not_on_the_roster_is_rejected_and_counted(
    api: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    class_id = (await create_class(api, join_policy="roster"))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    listed, stranger = unique("s"), unique("s")
    await enrol(rows, class_id, listed)
    assert (await post(api, key, listed))["stored"] == 1
    for _ in range(2):
        answer = await post(api, key, stranger)
        assert [each["reason"] for each in answer["rejected"]] == ["not_on_roster"]
    (refusal,) = (await api.get(f"/classes/{class_id}/refusals")).json()["refusals"]
    assert (refusal["reason"], refusal["events"], refusal["senders"]) == ("not_on_roster", 2, 1)
    assert refusal["user_ids"] == [stranger]


async def test_a_teacher_decides_and_an_assistant_sees(guarded_school: Replica) -> None:
    teacher, assistant, other = unique("sensei"), unique("ta"), unique("kyoju")
    async with client(guarded_school.url, token(teacher, "instructor")) as api:
        class_id = (await create_class(api, join_policy="approve"))["id"]
    async with connected(guarded_school) as rows:
        await enrol(rows, class_id, assistant, "assistant")
    path = f"/classes/{class_id}"
    for name, see, may in ((other, 403, 403), (assistant, 200, 403), (teacher, 200, 200)):
        async with client(guarded_school.url, token(name, "instructor")) as api:
            assert (await api.get(f"{path}/waiting")).status_code == see
            assert (await api.get(f"{path}/refusals")).status_code == see
            admitted = await api.post(f"{path}/waiting/admit", json={})
            refused = await api.post(f"{path}/waiting/refuse", json={})
            changed = await api.put(path, json={"join_policy": "open"})
            assert {each.status_code for each in (admitted, refused, changed)} == {may}
    async with client(guarded_school.url, token("root", "admin")) as api:
        total = int((await api.get("/audit?limit=1")).headers["X-Total-Count"])
        audit = (await api.get(f"/audit?skip={max(0, total - 100)}&limit=500")).json()
    decided = {entry["operation"] for entry in audit if entry["name"] == teacher}
    assert {
        "POST /api/v1/classes/{class_id}/waiting/admit",
        "POST /api/v1/classes/{class_id}/waiting/refuse",
    } <= decided
