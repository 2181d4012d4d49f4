"""Bounds on the new students and sessions of a caller: who invents names pays for them alone."""

from typing import Any

import asyncpg
import httpx
import pytest

from monitor.events.event import Event, Source
from monitor.pipeline import new_names
from monitor.pipeline.new_names import DailyShare
from tests.support.consumers import run_consumers
from tests.support.factories import deadline_soon, make_event
from tests.support.fixtures import replica_fixture
from tests.support.lms import create, create_class
from tests.support.replicas import Replica
from tests.support.sinks import sink_on
from tests.support.tokens import SECRET, bearer, client, token

BOUND = 20
ALLOWED = new_names.STUDENTS

guarded = replica_fixture("module", JWT_SECRET=SECRET, MINUTE_EVENTS="1000000")


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_names, "STUDENTS", BOUND)
    monkeypatch.setattr(new_names, "SESSIONS", 2 * BOUND)
    monkeypatch.setattr(new_names, "SESSIONS_OF_STUDENT", BOUND)


async def key_of_class(pool: asyncpg.Pool, payer: str) -> Source:
    """The key of the one class, at an address."""
    class_id = await pool.fetchval(
        """INSERT INTO classes (class_code, name, max_new_names) VALUES ('A', 'a', 1000)
        ON CONFLICT (class_code) DO UPDATE SET name = 'a' RETURNING id"""
    )
    return Source(credential="key 1", class_id=class_id, payer=payer)


def invented(source: Source, count: int, prefix: str = "n") -> list[Event]:
    return [
        make_event(student=f"{prefix}{number}", session=f"{prefix}{number}", source=source)
        for number in range(count)
    ]


async def noted(pool: asyncpg.Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT reason, sum(events) AS n FROM class_refusals GROUP BY reason")
    return {row["reason"]: row["n"] for row in rows}


async def test_new_students_beyond_the_bound_are_rejected_and_classmates_stored(
    pool: asyncpg.Pool,
) -> None:
    mallory, classmate = await key_of_class(pool, "m"), await key_of_class(pool, "c")
    async with run_consumers(pool, queue_events=1_000) as server:
        assert (await server.put(*invented(classmate, 1, "known"))).stored == 1
        flood = invented(mallory, 3 * BOUND) + invented(mallory, 1, "known")
        receipt = await server.put(*flood)
        assert receipt.stored == BOUND + 1  # one student was known
        assert {each.reason for each in receipt.rejected} == {new_names.TOO_MANY_STUDENTS}
        assert {each.by_policy for each in receipt.rejected} == {True}
        assert (await server.put(*invented(classmate, 3, "late"))).stored == 3
        assert (await server.put(*invented(mallory, 1, "late"))).stored == 1  # known by now
        assert len((await server.put(*invented(mallory, 1, "other"))).rejected) == 1
    assert await pool.fetchval("SELECT count(*) FROM students") == 1 + BOUND + 3
    assert await noted(pool) == {new_names.TOO_MANY_STUDENTS: 2 * BOUND + 1}


async def test_the_known_of_a_server_that_restarts_are_not_new(pool: asyncpg.Pool) -> None:
    source = await key_of_class(pool, "c")
    for _ in range(3):  # each with empty caches
        for first in range(0, BOUND, 5):
            sink = sink_on(pool)
            part = invented(source, BOUND)[first : first + 5]
            assert len((await sink.write(part, deadline_soon())).events) == 5


async def test_new_sessions_beyond_the_bound_are_kept_in_metadata(pool: asyncpg.Pool) -> None:
    mallory, classmate = await key_of_class(pool, "m"), await key_of_class(pool, "c")
    sessions = [
        make_event(student="hanako", session=f"s{number}", source=mallory)
        for number in range(BOUND + 5)
    ]
    async with run_consumers(pool, queue_events=1_000) as server:
        assert (await server.put(*sessions[: BOUND // 2])).stored == BOUND // 2
        assert (await server.put(*sessions[BOUND // 2 :])).stored == len(sessions) - BOUND // 2
        again = make_event(student="hanako", session="s1", source=mallory)
        theirs = make_event(student="hanako", session="own", source=classmate)
        assert (await server.put(again, theirs)).stored == 2
    rows = await pool.fetch("SELECT session_id IS NULL AS without, metadata FROM cell_executions")
    beyond = [row["metadata"] for row in rows if row["without"]]
    assert len(beyond) == 5
    assert all('"sessionId": "s' in each for each in beyond)
    assert await noted(pool) == {new_names.TOO_MANY_SESSIONS: 5}


def test_a_credential_has_twice_what_one_of_its_addresses_has() -> None:
    share = DailyShare("names", each=2)
    at = [Source(credential="key 1", payer=payer) for payer in "abc"]
    assert [share.take(each) for each in at for _ in range(2)] == [True] * 4 + [False] * 2
    assert (share.refused, share.exhausted) == (0, 2)
    share.give_back(at[0])
    assert [share.take(at[2]), share.take(at[2])] == [True, False]
    assert share.take(Source(payer="a"))  # without the credential


async def test_who_invents_names_meets_the_bound_alone(guarded: Replica) -> None:
    async with client(guarded.url, token("sensei", "instructor")) as api:
        class_id = (await create_class(api))["id"]
        key = await create(api, "/ingest-keys", name="class", class_id=class_id)
        await api.post(f"/classes/{class_id}/students", json=[{"user_id": "hanako"}])

    async def post(address: str, *names: str) -> dict[str, Any]:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        events = [{"eventType": "help", "userId": name, "sessionId": name} for name in names]
        async with httpx.AsyncClient(transport=transport, timeout=60) as http:
            url = f"{guarded.url}/api/v1/events"
            answer = await http.post(url, json=events, params={"key": key["key"]})
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    for first in range(0, ALLOWED, 1_000):
        names = [f"n{number}" for number in range(first, first + 1_000)]
        reasons = {each["reason"] for each in (await post("127.0.0.66", *names))["rejected"]}
        assert reasons <= {"too_many_waiting"}  # by the class's policy
    rejected = (await post("127.0.0.66", "one-more", "hanako"))["rejected"]
    assert [(each["index"], each["reason"]) for each in rejected] == [(0, "too_many_students")]
    assert (await post("127.0.0.2", "hanako"))["rejected"] == []
    others = (await post("127.0.0.2", "taro"))["rejected"]
    assert [each["reason"] for each in others] in ([], ["too_many_waiting"])
    async with client(guarded.url, token("sensei", "instructor")) as api:
        refusals = (await api.get(f"/classes/{class_id}/refusals")).json()["refusals"]
    async with httpx.AsyncClient(headers=bearer(token("root", "admin"))) as http:
        health = (await http.get(f"{guarded.url}/health")).json()
    events = {each["reason"]: each["events"] for each in refusals}
    assert events["too_many_students"] == 1
    assert health["shares"]["refused"]["new students a day"] >= 1
