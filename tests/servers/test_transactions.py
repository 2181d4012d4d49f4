"""A call is authorised, done and audited in one transaction; what it depends on can't change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.auth.call import Call
from monitor.auth.permissions import YES, Permission
from monitor.auth.principal import OPEN
from monitor.database.pool import Connection, Database
from monitor.database.reads import Reads
from monitor.errors import Conflict
from monitor.http.body import BodyReader
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit, Transactions
from monitor.right_of_way import RightOfWay
from monitor.workers.pool import Workers
from tests.support.applications import application
from tests.support.lms import create, create_assignment, create_class, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token

WAIT = 0.5  # seconds after which a request that isn't answered is taken to wait


class School:
    """A teacher's class with a student, and another class; `connection` is to the database."""

    def __init__(self, replica: Replica, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.teacher = unique("teacher")
        self.api = client(replica.url, token(self.teacher, "instructor"))
        self.admin = client(replica.url, token("root", "admin"))
        self.ids: dict[str, int] = {}

    async def fill(self) -> None:
        class_id = (await create_class(self.api))["id"]
        student = unique("pupil")
        entry = await create(self.api, f"/classes/{class_id}/students", user_id=student)
        assignment = await create_assignment(self.api, class_id=class_id)
        body = {"assignment_id": assignment["id"], "user_id": student}
        teacher_id = await self.connection.fetchval(
            "SELECT id FROM students WHERE user_id = $1", self.teacher
        )
        self.ids = {
            "class": class_id,
            "other_class": (await create_class(self.admin))["id"],
            "student": entry["student_id"],
            "teacher": teacher_id,
            "assignment": assignment["id"],
            "submission": (await create(self.api, "/submissions", **body))["id"],
        }

    def path(self, template: str) -> str:
        return template.format(**self.ids)


@pytest.fixture
async def school(guarded_school: Replica) -> AsyncIterator[School]:
    environment = guarded_school.environment
    connection = await asyncpg.connect(
        host=environment["POSTGRES_SERVER"],
        port=int(environment["POSTGRES_PORT"]),
        user=environment["POSTGRES_USER"],
        password=environment["POSTGRES_PASSWORD"] or None,
        database=environment["POSTGRES_DB"],
    )
    school = School(guarded_school, connection)
    async with school.api, school.admin:
        await school.fill()
        yield school
    await connection.close()


async def waits(request: asyncio.Task[httpx.Response]) -> bool:
    return not (await asyncio.wait([request], timeout=WAIT))[0]


HAND_IN = ("POST", "/submissions", "students", "student")
GRADE = ("PUT", "/submissions/{submission}", "assignment_submissions", "submission")


@pytest.mark.parametrize(
    ("call", "change"),
    [
        (HAND_IN, ("DELETE", "/classes/{class}/students/{teacher}", None)),
        (HAND_IN, ("DELETE", "/classes/{class}/students/{student}", None)),
        (GRADE, ("DELETE", "/classes/{class}/students/{teacher}", None)),
        (GRADE, ("PUT", "/assignments/{assignment}", "other_class")),
    ],
)
async def test_access_is_not_lost_between_check_and_act(
    school: School, call: tuple[str, str, str, str], change: tuple[str, str, str | None]
) -> None:
    (act, path, table, locked), (method, changed, moved_to) = call, change
    body = {"grade": 1}
    if act == "POST":
        body |= {"assignment_id": school.ids["assignment"], "student_id": school.ids["student"]}
    moved = {"class_id": school.ids[moved_to]} if moved_to else None
    async with school.connection.transaction():
        lock = f"SELECT FROM {table} WHERE id = $1 FOR UPDATE"
        await school.connection.execute(lock, school.ids[locked])
        acting = asyncio.create_task(school.api.request(act, school.path(path), json=body))
        assert await waits(acting)  # it has been checked, and can't act yet
        losing = asyncio.create_task(school.admin.request(method, school.path(changed), json=moved))
        assert await waits(losing)
    done = 201 if act == "POST" else 200
    assert [(await acting).status_code, (await losing).status_code] == [done, 200]
    again = await school.api.request(act, school.path(path), json=body)
    assert again.status_code == 403


async def test_access_that_is_being_lost_is_waited_for(school: School) -> None:
    path = school.path("/classes/{class}/students/{student}")
    async with school.connection.transaction():
        await school.connection.execute(
            "DELETE FROM student_classes WHERE student_id = $1", school.ids["teacher"]
        )
        acting = asyncio.create_task(school.api.put(path, json={"name": "x"}))
        assert await waits(acting)
    assert (await acting).status_code == 403


async def test_calls_at_once_do_not_deadlock(school: School) -> None:
    assignment = school.path("/assignments/{assignment}")
    student = school.path("/classes/{class}/students/{student}")
    calls = [
        school.api.put(path, json={key: str(number)})
        for number in range(10)
        for path, key in ((assignment, "title"), (student, "name"))
    ]
    assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}


async def test_one_of_two_teachers_who_delete_a_class_at_once_is_late(
    school: School, guarded_school: Replica
) -> None:
    colleague = unique("teacher")
    async with client(guarded_school.url, token(colleague, "instructor")) as other:
        for _ in range(20):
            path = f"/classes/{(await create_class(school.api))['id']}"
            roster = f"{path}/students"
            await create(school.admin, roster, user_id=colleague, role="teacher")
            answers = await asyncio.gather(school.api.delete(path), other.delete(path))
            assert sorted(answer.status_code for answer in answers) == [200, 403]


async def test_a_deadlock_is_answered_by_a_503(school: School) -> None:
    path, session = school.path("/submissions/{submission}"), school.connection
    async with session.transaction():
        await session.execute("SET LOCAL deadlock_timeout = '1min'")  # the call is to notice it
        await session.execute(
            "SELECT FROM assignment_submissions WHERE id = $1 FOR UPDATE", school.ids["submission"]
        )
        acting = asyncio.create_task(school.api.put(path, json={"grade": 1}))
        assert await waits(acting)
        await session.execute(
            "SELECT FROM student_classes WHERE student_id = $1 FOR UPDATE", school.ids["teacher"]
        )
        answer = await acting
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (await school.api.put(path, json={"grade": 1})).status_code == 200


async def test_what_fails_is_not_on_record(school: School) -> None:
    async def total() -> int:
        return int((await school.admin.get("/audit")).headers["X-Total-Count"])

    before = await total()
    missing = await school.admin.put("/classes/999999", json={"name": "x"})
    assert (missing.status_code, await total()) == (404, before)
    entry = await school.admin.put(school.path("/classes/{class}"), json={"name": "x"})
    assert (entry.status_code, await total()) == (200, before + 1)


class AsAdministrator:
    """Stands before the application as the gate of an open server does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["call"] = Call(Permission(admin=YES), OPEN, YES)
        await self._app(scope, receive, send)


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    routes = api.routes(lambda *_: [Middleware(AsAdministrator)])
    app = application(routes)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://server"
    ) as served_client:
        yield served_client


def create_api(database: Database) -> Api:
    return Api(
        "",
        BodyReader(1000, 1000),
        Workers(),
        database,
        Reads(database, None, count_nothing),
        right_of_way=RightOfWay(),
    )


async def count_nothing() -> None:
    """Counts the batches that were stored: none are here."""


_INSERT = "INSERT INTO notebooks (path, name) VALUES ($1, $1)"
_COUNT = "SELECT count(*) FROM notebooks"


async def test_a_read_sees_one_snapshot(database: Database, pool: asyncpg.Pool) -> None:
    api = create_api(database)

    @api.operation("GET", "/counts")
    async def counts(connection: Connection) -> list[int]:
        """Counts twice."""
        first = await connection.fetchval(_COUNT)
        await pool.execute(_INSERT, unique())
        return [first, await connection.fetchval(_COUNT)]

    async with served(api) as http:
        assert (await http.get("/counts")).json() == [0, 0]
        assert (await http.get("/counts")).json() == [1, 1]


async def test_what_waits_for_the_commit_happens_after_it(
    database: Database, pool: asyncpg.Pool
) -> None:
    api = create_api(database)
    seen: list[int] = []

    async def look() -> None:
        seen.append(await pool.fetchval(_COUNT))

    @api.operation("POST", "/once/{path}")
    async def once(connection: Connection, after_commit: AfterCommit, path: str) -> None:
        """Inserts."""
        after_commit(look)
        after_commit(lambda: seen.append(-1))
        await connection.execute(_INSERT, path)
        if path == "no":
            raise Conflict("No")

    @api.operation("POST", "/twice/{path}")
    async def twice(transactions: Transactions, path: str) -> None:
        """Inserts twice."""
        async with transactions.begin(audited=False) as connection:
            await connection.execute(_INSERT, path)
        async with transactions.begin() as connection:
            await connection.execute(_INSERT, f"{path} again")

    async with served(api) as http:
        assert (await http.post("/once/a")).status_code == 200
        assert seen == [1, -1]
        assert (await http.post("/once/no")).status_code == 409
        assert seen == [1, -1]
        assert (await http.post("/twice/b")).status_code == 200
    assert await pool.fetchval(_COUNT) == 3
    operations = await pool.fetch("SELECT operation FROM audit_log ORDER BY id")
    assert [row["operation"] for row in operations] == ["POST /once/{path}", "POST /twice/{path}"]


async def test_what_fails_after_the_commit_does_not_fail_the_call(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    api = create_api(database)
    seen: list[int] = []

    async def fail() -> None:
        raise OSError("No space left on device")

    @api.operation("POST", "/keys")
    async def create_key(connection: Connection, after_commit: AfterCommit) -> str:
        """Inserts."""
        after_commit(fail)
        after_commit(lambda: seen.append(1))
        await connection.execute(_INSERT, "a")
        return "shown only now"

    async with served(api) as http:
        answer = await http.post("/keys")
    assert (answer.status_code, answer.json(), seen) == (200, "shown only now", [1])
    assert "No space left on device" in caplog.text
