"""Students' own ingest tokens: issued, claimed, rotated, confirmed, revoked."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from monitor.auth import student_tokens
from monitor.database.pool import Database
from monitor.errors import Conflict, NotFound
from tests.support.audit import last_changes
from tests.support.events import event
from tests.support.lms import create, create_class, error_location, unique
from tests.support.postgres import Address, fetch
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually


class Lesson:
    """A class with a teacher, an assistant and these students."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.teacher, self.assistant = unique("sensei"), unique("ta")
        self.ids: dict[str, int] = {}  # by user_id

    async def make(self, *students: str) -> "Lesson":
        async with self.as_teacher() as api:
            self.class_id = (await create_class(api))["id"]
            rows = [{"user_id": unique(name)} for name in students]
            rows.append({"user_id": self.assistant, "role": "assistant"})
            answer = await api.post(f"/classes/{self.class_id}/students", json=rows)
            assert answer.status_code == 201, answer.text
        self.ids = {each["user_id"]: each["student_id"] for each in answer.json()}
        self.assistant_id = self.ids.pop(self.assistant)
        return self

    def as_teacher(self) -> httpx.AsyncClient:
        return client(self.url, token(self.teacher, "instructor"))

    async def issue(self, **body: Any) -> list[dict[str, Any]]:
        async with self.as_teacher() as api:
            answer = await api.post(f"/classes/{self.class_id}/tokens", json=body)
        assert answer.status_code == 201, answer.text
        issued: list[dict[str, Any]] = answer.json()
        return issued


@pytest.fixture
async def lesson(guarded_school: Replica) -> Lesson:
    return await Lesson(guarded_school.url).make("hanako", "taro")


async def status_of_post(url: str, key: str, *events: Any) -> int:
    async with client(url, None) as api:
        answer = await api.post("/events", json=list(events), params={"key": key})
    return answer.status_code


async def wait_accepted(url: str, key: str) -> None:
    """Until a replica knows a token that was issued elsewhere."""
    await eventually(lambda: status_of_post(url, key), lambda status: status == 202)


async def test_each_student_of_the_roster_gets_one_token(lesson: Lesson) -> None:
    issued = await lesson.issue()
    assert [(each["user_id"], each["student_id"]) for each in issued] == sorted(lesson.ids.items())
    assert {each["class_id"] for each in issued} == {lesson.class_id}
    assert len({each["token"] for each in issued}) == 2
    for each in issued:
        assert each["token"].startswith("cms_")
        assert each["url"] == f"{lesson.url}/api/v1/events?key={each['token']}"
        assert each["qr_image"].startswith("data:image/svg+xml")
    assert await lesson.issue() == []
    async with lesson.as_teacher() as api:
        answer = await api.get("/student-tokens", params={"class_id": lesson.class_id})
        assert answer.headers["X-Total-Count"] == "2"
        secrets = {"token", "url", "qr_image"}
        secretless = [{k: v for k, v in each.items() if k not in secrets} for each in issued]
        assert answer.json() == sorted(secretless, key=lambda each: each["id"])
    for each in issued:
        assert await status_of_post(lesson.url, each["token"]) == 202


async def test_a_renewed_token_works_for_a_day_more(lesson: Lesson) -> None:
    one, other = await lesson.issue()
    (new,) = await lesson.issue(student_ids=[one["student_id"]], renew=True)
    assert await lesson.issue(student_ids=[one["student_id"]]) == []
    for each in (one, other, new):
        assert await status_of_post(lesson.url, each["token"]) == 202
    async with lesson.as_teacher() as api:
        listed = (await api.get("/student-tokens")).json()
    ends = {each["id"]: each["valid_to"] for each in listed}
    assert ends[other["id"]] is ends[new["id"]] is None
    left = datetime.fromisoformat(ends[one["id"]]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


async def test_tokens_are_for_students_of_the_roster_only(lesson: Lesson) -> None:
    async with lesson.as_teacher() as api:
        path = f"/classes/{lesson.class_id}/tokens"
        for body in ({"student_ids": [lesson.assistant_id]}, {"student_ids": [2**40]}):
            answer = await api.post(path, json=body)
            assert error_location(answer) == ["body", "student_ids"]
        assert (await api.post(path, json={"renew": True})).status_code == 422
        assert (await api.post(path, json={"student_ids": []})).status_code == 422
    async with client(lesson.url, token("root", "admin")) as api:
        assert (await api.post(f"/classes/{2**40}/tokens", json={})).status_code == 404


async def test_two_calls_at_a_time_issue_each_token_once(lesson: Lesson) -> None:
    issued = await asyncio.gather(*(lesson.issue() for _ in range(4)))
    assert sorted(map(len, issued)) == [0, 0, 0, 2]


async def test_an_assistant_and_another_teacher_change_no_token(lesson: Lesson) -> None:
    issued, _ = await lesson.issue()
    other = await Lesson(lesson.url).make("jiro")
    for name in (lesson.assistant, other.teacher):
        async with client(lesson.url, token(name, "instructor")) as api:
            for method, path in (
                ("POST", f"/classes/{lesson.class_id}/tokens"),
                ("POST", f"/student-tokens/{issued['id']}/rotate"),
                ("POST", f"/student-tokens/{issued['id']}/confirm"),
                ("DELETE", f"/student-tokens/{issued['id']}"),
            ):
                assert (await api.request(method, path, json={})).status_code == 403
            listed = (await api.get("/student-tokens")).json()
            assert bool(listed) == (name == lesson.assistant)


async def test_the_same_student_has_a_token_of_each_class(lesson: Lesson) -> None:
    await lesson.issue()
    other = Lesson(lesson.url)
    student = next(iter(lesson.ids))
    async with other.as_teacher() as api:
        other.class_id = (await create_class(api))["id"]
        await create(api, f"/classes/{other.class_id}/students", user_id=student)
        (issued,) = await other.issue()
        assert issued["user_id"] == student
        listed = (await api.get("/student-tokens")).json()
    assert [each["class_id"] for each in listed] == [other.class_id]


async def test_a_student_rotates_their_own(lesson: Lesson) -> None:
    mine, others = await lesson.issue()
    async with client(lesson.url, token(mine["user_id"])) as api:
        assert [each["id"] for each in (await api.get("/student-tokens")).json()] == [mine["id"]]
        refused = await api.post(f"/student-tokens/{others['id']}/rotate")
        assert refused.status_code == 403
        assert (await api.delete(f"/student-tokens/{mine['id']}")).status_code == 403
        path = f"/student-tokens/{mine['id']}/rotate"
        assert (await api.post(path, params={"hours": 25})).status_code == 422
        rotated = await api.post(path, params={"hours": 0})
        assert rotated.status_code == 201
        assert (await api.post(path)).status_code == 404
    assert await status_of_post(lesson.url, mine["token"]) == 401
    assert await status_of_post(lesson.url, rotated.json()["token"]) == 202


async def test_renewing_has_a_bound(lesson: Lesson) -> None:
    issued, other = await lesson.issue()
    async with lesson.as_teacher() as api:
        for _ in range(9):
            answer = await api.post(f"/student-tokens/{issued['id']}/rotate")
            assert answer.status_code == 201
            issued = answer.json()
        for path, body in (
            (f"/student-tokens/{issued['id']}/rotate", None),
            (
                f"/classes/{lesson.class_id}/tokens",
                {"student_ids": list(lesson.ids.values()), "renew": True},
            ),
        ):
            answer = await api.post(path, json=body)
            assert answer.status_code == 409
            assert "revoke" in answer.json()["detail"]
        await api.delete(f"/student-tokens/{issued['id']}")
        assert len(await lesson.issue()) == 1
    assert await status_of_post(lesson.url, other["token"]) == 202


async def test_a_token_reads_nothing(lesson: Lesson) -> None:
    issued, _ = await lesson.issue()
    async with client(lesson.url, None) as api:
        for path in ("/classes", "/student-tokens", f"/students/{issued['student_id']}/timeline"):
            answer = await api.get(path, params={"key": issued["token"]})
            assert answer.status_code == 403


async def test_what_a_teacher_does_with_tokens_is_audited_without_secrets(lesson: Lesson) -> None:
    issued, _ = await lesson.issue()
    async with lesson.as_teacher() as api:
        await api.delete(f"/student-tokens/{issued['id']}")
    async with client(lesson.url, token("root", "admin")) as api:
        entries = await last_changes(api, 2)
    assert [each["path"].removeprefix("/api/v1") for each in entries] == [
        f"/classes/{lesson.class_id}/tokens",
        f"/student-tokens/{issued['id']}",
    ]
    assert "cms_" not in str(entries)


async def test_a_revoked_token_is_refused_by_every_replica_within_seconds(
    environment: dict[str, str], tmp_path: Any
) -> None:
    secured = environment | {"JWT_SECRET": SECRET}
    elsewhere = secured | {"DATA_DIR": str(tmp_path / "other")}
    with Replica(secured) as one, Replica(elsewhere) as other:
        lesson = await Lesson(one.url).make("hanako")
        (issued,) = await lesson.issue()
        await wait_accepted(other.url, issued["token"])
        async with lesson.as_teacher() as api:
            assert (await api.delete(f"/student-tokens/{issued['id']}")).status_code == 200
        revoked_at = time.monotonic()
        assert await status_of_post(one.url, issued["token"]) == 401
        await eventually(
            lambda: status_of_post(other.url, issued["token"]), lambda status: status == 401
        )
        assert time.monotonic() - revoked_at < 8.0


async def make_class(pool: asyncpg.Pool, *students: str) -> tuple[int, list[int]]:
    class_id = await pool.fetchval(
        "INSERT INTO classes (class_code, name) VALUES ($1, 'x') RETURNING id", unique()
    )
    ids = []
    for user_id in students:
        ids.append(
            await pool.fetchval("INSERT INTO students (user_id) VALUES ($1) RETURNING id", user_id)
        )
        await pool.execute(
            "INSERT INTO student_classes (class_id, student_id, role) VALUES ($1, $2, 'student')",
            class_id,
            ids[-1],
        )
    return class_id, ids


async def test_a_line_of_the_roster_is_claimed_once(database: Database, pool: asyncpg.Pool) -> None:
    class_id, (student,) = await make_class(pool, "hanako")

    async def claim() -> student_tokens.NewStudentToken:
        async with database.transaction() as connection:
            return await student_tokens.claim(connection, class_id, student)

    outcomes = await asyncio.gather(*(claim() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in outcomes) == 3
    (issued,) = [each for each in outcomes if isinstance(each, student_tokens.NewStudentToken)]
    assert issued.claimed
    async with database.transaction() as connection:
        with pytest.raises(NotFound):
            await student_tokens.claim(connection, class_id, student + 1)
        confirmed = await student_tokens.confirm(connection, issued.id)
        assert not confirmed.claimed


def cell_run(**fields: Any) -> dict[str, Any]:
    return event(userId=None, sessionId=unique(), **fields)


async def rows_of(postgres: Address, user_id: str) -> list[dict[str, Any]]:
    query = """
        SELECT class_id, credential, verified, excluded FROM cell_executions
        WHERE student_id = (SELECT id FROM students WHERE user_id = $1) ORDER BY received_at
    """
    return await fetch(postgres, query, user_id)


@pytest.fixture
async def own_lesson(environment: dict[str, str]) -> AsyncIterator[Lesson]:
    """On a server of its own, whose rows the test reads."""
    with Replica(environment | {"JWT_SECRET": SECRET}) as replica:
        yield await Lesson(replica.url).make("hanako", "taro")


async def post_with(
    url: str, key: str, *events: Any, status: int = 202, **query: str
) -> dict[str, Any]:
    async with client(url, None) as api:
        answer = await api.post("/events", json=list(events), params={"key": key, **query})
    assert answer.status_code == status, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_events_with_a_token_are_its_students_and_nobody_elses(
    own_lesson: Lesson, postgres: Address
) -> None:
    hanako, taro = await own_lesson.issue()
    own = cell_run(emailAddress="somebody@example.com"), cell_run(), cell_run()
    own[1]["userId"] = hanako["user_id"]
    others = cell_run() | {"userId": taro["user_id"]}, cell_run() | {"userId": "new"}
    result = await post_with(own_lesson.url, hanako["token"], own[0], *others, *own[1:])
    assert (result["stored"], [each["index"] for each in result["rejected"]]) == (3, [1, 2])
    credential = f"token {hanako['id']}"
    expected = {
        "class_id": own_lesson.class_id,
        "credential": credential,
        "verified": True,
        "excluded": None,
    }
    assert await rows_of(postgres, hanako["user_id"]) == [expected] * 3
    assert await rows_of(postgres, taro["user_id"]) == []
    assert await fetch(postgres, "SELECT FROM students WHERE user_id = 'new'") == []


async def test_two_students_with_one_token_are_the_one_it_was_issued_to(
    own_lesson: Lesson, postgres: Address
) -> None:
    hanako, taro = await own_lesson.issue()
    shared = hanako["token"]
    mine = cell_run() | {"userId": hanako["user_id"]}
    copied = cell_run() | {"userId": taro["user_id"]}
    await post_with(own_lesson.url, shared, mine)
    refused = await post_with(own_lesson.url, shared, copied, status=422)
    assert refused["rejected"][0]["path"] == "userId"
    assert len(await rows_of(postgres, hanako["user_id"])) == 1
    assert await rows_of(postgres, taro["user_id"]) == []


async def test_a_claimed_token_verifies_nothing_until_it_is_confirmed(
    own_lesson: Lesson, database: Database, postgres: Address
) -> None:
    user_id, student = next(iter(own_lesson.ids.items()))
    async with database.transaction() as connection:
        claimed = await student_tokens.claim(connection, own_lesson.class_id, student)
    await wait_accepted(own_lesson.url, claimed.token)
    await post_with(own_lesson.url, claimed.token, cell_run())
    async with own_lesson.as_teacher() as api:
        confirmed = await api.post(f"/student-tokens/{claimed.id}/confirm")
        assert confirmed.json()["claimed"] is False
    await post_with(own_lesson.url, claimed.token, cell_run())
    assert [row["verified"] for row in await rows_of(postgres, user_id)] == [False, True]


async def test_claims_are_disputed_while_a_token_lives(
    own_lesson: Lesson, postgres: Address
) -> None:
    issued, _ = await own_lesson.issue()
    async with own_lesson.as_teacher() as api:
        body = {"name": "x", "class_id": own_lesson.class_id}
        key = (await create(api, "/ingest-keys", **body))["key"]
        claim = {"userId": issued["user_id"]}
        await post_with(own_lesson.url, key, cell_run() | claim)
        await post_with(own_lesson.url, issued["token"], cell_run())
        await post_with(own_lesson.url, key, cell_run() | claim)
        assert (await api.delete(f"/student-tokens/{issued['id']}")).status_code == 200
        await post_with(own_lesson.url, key, cell_run() | claim)
    rows = await rows_of(postgres, issued["user_id"])
    assert [row["excluded"] for row in rows] == [None, None, "disputed", None]


async def test_who_left_the_class_posts_into_no_class(
    own_lesson: Lesson, postgres: Address
) -> None:
    issued, _ = await own_lesson.issue()
    async with own_lesson.as_teacher() as api:
        path = f"/classes/{own_lesson.class_id}/students/{issued['student_id']}"
        assert (await api.delete(path)).status_code == 200
        assert await own_lesson.issue() == []
    await post_with(own_lesson.url, issued["token"], cell_run())
    (row,) = await rows_of(postgres, issued["user_id"])
    assert (row["class_id"], row["verified"]) == (0, True)


async def test_a_person_who_is_signed_in_needs_no_key(
    own_lesson: Lesson, postgres: Address
) -> None:
    user_id = next(iter(own_lesson.ids))
    signed_in = token(user_id)
    async with client(own_lesson.url, signed_in) as api:
        assert (await api.post("/events", json=[cell_run()])).json()["stored"] == 1
    async with client(own_lesson.url, None) as api:
        answer = await api.post("/events", json=[cell_run()], params={"token": signed_in})
        assert answer.json()["stored"] == 1
        assert (await api.get("/classes", params={"token": signed_in})).status_code == 401
    rows = await rows_of(postgres, user_id)
    assert [(row["credential"], row["verified"]) for row in rows] == [
        (f"person {user_id}", True)
    ] * 2
    assert {row["class_id"] for row in rows} == {own_lesson.class_id}
