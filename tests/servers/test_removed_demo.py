"""Removing a demo: what it made goes, and nothing else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.waiting import eventually

# Tables that also say what happened, or what is still to be done.
LOGS = {
    "audit_log",
    "credential_changes",
    "deleted_credentials",
    "ingest_usage",
    "ledger",
    "outbox_counts",
    "roster_changes",
    "schema_migrations",
}
KINDS = ("cell_executed", "notebook_opened", "help", "session_start")


class Site:
    """A server with its database."""

    def __init__(self, api: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
        self.api = api
        self.connection = connection

    async def demo(self, *users: str) -> tuple[int, str]:
        """A demo of these students, who have done something of each kind: its class and key."""
        students = [
            {"user_id": user, "name": user, "team": "A", "number": number, "seat": f"A{number}"}
            for number, user in enumerate(users, 1)
        ]
        room = {"rows": 2, "columns": 3, "aisles": [1]}
        demo = await create(self.api, "/demos", name="demo", students=students, room=room)
        await self.work(demo["key"], *users)
        return demo["class_id"], demo["key"]

    async def work(self, key: str, *users: str, path: str = "lesson.ipynb") -> None:
        events = [
            event(eventType=kind, userId=user, notebookPath=path, hasError=user != users[0])
            for user in users
            for kind in KINDS
        ]
        url = f"/events?key={key}" if key else "/events"
        answer = await self.api.post(url, json=events)
        assert answer.json()["stored"] == len(events), answer.text
        await eventually(self._all_counted)

    async def _all_counted(self) -> bool:
        return not await self.count("outbox_counts", "true")

    async def rows(self) -> dict[str, Counter[str]]:
        """All rows of the database as text, by table."""
        tables = await self.connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        )
        names = {row["relname"] for row in tables} - LOGS
        return {
            name: Counter(
                text for (text,) in await self.connection.fetch(f"SELECT t::text FROM {name} t")
            )
            for name in names
        }

    async def count(self, table: str, condition: str, *arguments: Any) -> int:
        number: int = await self.connection.fetchval(
            f"SELECT count(*) FROM {table} WHERE {condition}", *arguments
        )
        return number


@pytest.fixture
async def site(replica: Replica, postgres: Address) -> AsyncIterator[Site]:
    connection = await asyncpg.connect(**postgres)
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=15) as api:
        yield Site(api, connection)
    await connection.close()


async def school_class(site: Site) -> tuple[int, str]:
    """An ordinary class: its id and key."""
    class_id = (await create_class(site.api))["id"]
    key = await create(site.api, "/ingest-keys", name="x", class_id=class_id)
    return class_id, key["key"]


async def test_a_removed_demo_leaves_the_database_as_it_was(site: Site) -> None:
    class_id, key = await school_class(site)
    await site.work(key, "hanako", "taro")
    await site.work("", "stranger")
    before = await site.rows()
    demo, _ = await site.demo("demo-1", "demo-2")
    notebooks = (await site.api.get("/notebooks", params={"limit": 500})).json()
    assignment = await create_assignment(
        site.api, class_id=demo, notebook_id=notebooks[-1]["id"], title="x"
    )
    await create(
        site.api, "/submissions", assignment_id=assignment["id"], user_id="demo-1", grade=5
    )
    await site.api.post(f"/classes/{demo}/invite")
    assert await site.count("cell_executions", "class_id = $1", demo) == 2
    answer = await site.api.delete(f"/demos/{demo}")
    assert answer.json() == {"class_id": demo, "class_removed": True}
    after = await site.rows()
    assert {
        name: after[name] - before[name] for name in before if after[name] != before[name]
    } == {}
    assert after == before
    assert (await site.api.get(f"/classes/{class_id}")).status_code == 200


WAITING = """
    locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_counting_and_removing_do_not_deadlock(site: Site) -> None:
    demo, _ = await site.demo("demo-1")
    states = "SELECT FROM student_states AS t JOIN students ON id = student_id FOR UPDATE OF t"
    async with site.connection.transaction():  # as recount_students does
        await site.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'))"
        )
        removal = asyncio.create_task(site.api.delete(f"/demos/{demo}"))
        await eventually(lambda: site.count("pg_locks", WAITING))
        await site.connection.execute(states)
    assert (await removal).json()["class_removed"]


async def test_what_others_did_in_its_class_stays(site: Site) -> None:
    demo, key = await site.demo("demo-1")
    await site.work(key, "hanako")
    answer = await site.api.delete(f"/demos/{demo}")
    assert answer.json() == {"class_id": demo, "class_removed": False}
    answer = await site.api.get(f"/classes/{demo}/students")
    roster = answer.json()
    assert answer.status_code == 200, answer.text
    assert [each["user_id"] for each in roster] == ["hanako"]
    assert (await site.api.get(f"/classes/{demo}")).json()["is_demo"] is False
    assert await site.count("cell_executions", "class_id = $1", demo) == 1
    assert await site.count("students", "user_id = 'demo-1'") == 0
    await site.work(key, "hanako", "jiro")  # the class goes on
    assert (await site.api.delete(f"/demos/{demo}")).status_code == 404


async def test_what_its_students_did_in_another_class_stays(site: Site) -> None:
    demo, _ = await site.demo("demo-1", "demo-2")
    class_id, key = await school_class(site)
    await site.work(key, "demo-1")
    assert (await site.api.delete(f"/demos/{demo}")).json()["class_removed"]
    (student,) = await site.connection.fetch("SELECT id FROM students WHERE user_id LIKE 'demo-%'")
    assert await site.count("cell_executions", "student_id = $1", student["id"]) == 1
    assert await site.count("student_states", "class_id = $1", class_id) == 1


async def test_events_of_a_removed_demo_are_stored_under_new_ids(site: Site) -> None:
    demo, key = await site.demo("demo-1")
    assert (await site.api.delete(f"/demos/{demo}")).status_code == 200
    refused = await site.api.post(f"/events?key={key}", json=[event(userId="demo-1")])
    assert refused.status_code == 401
    await site.work("", "demo-1")  # the server has the old ids in memory
    student = await site.connection.fetchval("SELECT id FROM students WHERE user_id = 'demo-1'")
    for table in ("cell_executions", "sessions", "student_states"):
        assert await site.count(table, "student_id <> $1", student) == 0, table
    assert await site.count("cell_executions", "student_id = $1 AND class_id = 0", student) == 1
    aliases = "alias_id NOT IN (SELECT id FROM notebook_aliases)"
    assert await site.count("cell_executions", aliases) == 0


async def test_a_demo_takes_no_student_who_exists(site: Site) -> None:
    user = unique()
    await create(site.api, "/students", user_id=user)
    body = {"name": "demo", "students": [{"user_id": user}]}
    answer = await site.api.post("/demos", json=body)
    assert answer.status_code == 409
    assert "exists already" in answer.json()["detail"]
    for seats in (("A1", "a-1"), ("A1", "12")):
        body["students"] = [{"user_id": unique(), "seat": seat} for seat in seats]
        assert (await site.api.post("/demos", json=body)).status_code == 422
    class_id, _ = await school_class(site)
    assert (await site.api.delete(f"/demos/{class_id}")).status_code == 404
