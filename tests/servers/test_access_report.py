"""What the gate refuses of a class's keys is listed for the class; so are ids that two share."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from monitor.auth import access_report as module
from monitor.auth import keys
from monitor.auth.access_report import AccessReport
from monitor.auth.keys import IngestKeyCreate
from monitor.database.pool import Database
from monitor.errors import Unavailable
from tests.support.factories import deadline_soon
from tests.support.fixtures import replica_fixture
from tests.support.lms import create, create_class, unique
from tests.support.replicas import Replica
from tests.support.roster import connected, enrol
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually

limited_school = replica_fixture("module", JWT_SECRET=SECRET, DAILY_EVENTS="3")


def events(count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    return [{"eventType": "help", "userId": unique("s")} | fields for _ in range(count)]


async def post(replica: Replica, key: str, body: list[dict[str, Any]], source: str) -> int:
    """Posts from a local address; the answer's status."""
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport) as extension:
        answer = await extension.post(replica.events_url, json=body, params={"key": key})
    return answer.status_code


async def refusals(
    api: httpx.AsyncClient, class_id: int, is_there: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        answer: dict[str, Any] = (await api.get(f"/classes/{class_id}/refusals")).json()
        return answer

    return await eventually(ask, is_there)


async def test_posts_with_an_ended_key_and_beyond_a_limit_are_listed(
    limited_school: Replica,
) -> None:
    async with client(limited_school.url, token(unique("sensei"), "instructor")) as api:
        class_id = (await create_class(api))["id"]
        ended, other = [
            await create(api, "/ingest-keys", name="x", class_id=class_id) for _ in range(2)
        ]
        await api.delete(f"/ingest-keys/{ended['id']}")
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.2"):
            assert await post(limited_school, ended["key"], events(), source) == 401
        assert await post(limited_school, "cmk_unknown", events(), "127.0.0.1") == 401
        assert await post(limited_school, other["key"], events(4), "127.0.0.1") == 503
        answer = await refusals(api, class_id, lambda answer: len(answer["refusals"]) == 2)
    by_reason = {each["reason"]: each for each in answer["refusals"]}
    assert (by_reason["ended_key"]["events"], by_reason["ended_key"]["senders"]) == (3, 2)
    assert (by_reason["over_limit"]["events"], by_reason["over_limit"]["senders"]) == (4, 1)
    assert [each["user_ids"] for each in answer["refusals"]] == [[], []]


async def test_posts_with_a_student_s_ended_token_are_listed(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token(unique("sensei"), "instructor")) as api:
        class_id = (await create_class(api))["id"]
        await create(api, f"/classes/{class_id}/students", user_id=unique("s"))
        (issued,) = (await api.post(f"/classes/{class_id}/tokens", json={})).json()
        await api.delete(f"/student-tokens/{issued['id']}")
        assert await post(guarded_school, issued["token"], events(), "127.0.0.1") == 401
        answer = await refusals(api, class_id, lambda answer: answer["refusals"])
    (refusal,) = answer["refusals"]
    assert (refusal["reason"], refusal["events"]) == ("ended_key", 1)


async def test_addresses_are_not_stored(database: Database) -> None:
    report = AccessReport(database)
    async with database.transaction() as connection:
        class_id = await connection.fetchval(
            "INSERT INTO classes (class_code, name) VALUES ('x', 'x') RETURNING id"
        )
        key = await keys.create(connection, IngestKeyCreate("x", class_id), "root")
    report.refuse_over_limit(class_id, key.key, "192.0.2.1", 2)
    report.refuse_key(key.key, "192.0.2.1")  # one that a replica does not know yet
    await report.stop(deadline_soon())
    async with database.transaction() as connection:
        (row,) = await connection.fetch("SELECT * FROM class_refusals")
    assert (row["reason"], row["events"], len(row["user_id"])) == ("over_limit", 2, 16)
    assert "192" not in row["user_id"]


async def test_counts_are_kept_while_postgresql_is_away(database: Database) -> None:
    report = AccessReport(database)
    async with database.transaction() as connection:
        class_id = await connection.fetchval(
            "INSERT INTO classes (class_code, name) VALUES ('x', 'x') RETURNING id"
        )
    report.refuse_over_limit(class_id, "cmk_x", "192.0.2.1", 2)
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE class_refusals")
        writing = asyncio.create_task(report._write())
        await asyncio.wait([writing], timeout=0.3)
        writing.cancel()
        with pytest.raises((asyncio.CancelledError, Unavailable)):
            await writing
    report.refuse_over_limit(class_id, "cmk_x", "192.0.2.1", 1)
    await report.start()
    await report.stop(deadline_soon())
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT sum(events) FROM class_refusals") == 3


async def test_memory_is_bounded_while_postgresql_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SENDERS", 10)
    report = AccessReport(database)
    async with database.transaction() as connection:
        class_id = await connection.fetchval(
            "INSERT INTO classes (class_code, name) VALUES ('x', 'x') RETURNING id"
        )
        await connection.execute("LOCK TABLE class_refusals")
        for attempt in range(3):
            for number in range(20):
                address = f"192.0.{attempt}.{number}"
                report.refuse_over_limit(class_id, "cmk_x", address, 1)
                report.refuse_key(f"cmk_{number}", address)
            writing = asyncio.create_task(report._write())
            await asyncio.wait([writing], timeout=0.2)
            writing.cancel()
            await asyncio.wait([writing])
    assert len(report._unknown_keys) == len(report._over_limit) == 10


async def test_two_who_type_under_one_id_are_listed(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token(unique("sensei"), "instructor")) as api:
        class_id = (await create_class(api))["id"]
        key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
        shared, alone = unique("shared"), unique("alone")
        async with connected(guarded_school) as connection:
            await enrol(connection, class_id, shared)
            await enrol(connection, class_id, alone)
        for session, source in (("one", 1), ("two", 2), ("one", 1), ("two", 2)):
            for user_id, address in ((shared, source), (alone, 1)):
                body = events(userId=user_id, sessionId=session)
                assert await post(guarded_school, key, body, f"127.0.0.{address}") == 202
        answer = await refusals(api, class_id, lambda answer: answer["shared_ids"])
    assert [each["user_id"] for each in answer["shared_ids"]] == [shared]
