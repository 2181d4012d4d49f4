"""Declaring an operation: its arguments, its answers, its description."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.auth.call import Call
from monitor.auth.permissions import YES, Permission
from monitor.auth.principal import OPEN, Role, person
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Database
from monitor.database.reads import Reads
from monitor.errors import Conflict, NotFound
from monitor.http.body import BodyReader
from monitor.http.openapi import declare
from monitor.http.operations import Api
from monitor.right_of_way import RightOfWay
from monitor.workers.pool import Workers
from tests.support.applications import application
from tests.support.waiting import eventually


class Thing(msgspec.Struct):
    name: str
    size: int | msgspec.UnsetType = msgspec.UNSET
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Filter(Page, frozen=True, kw_only=True):
    owner: Id | msgspec.UnsetType = msgspec.UNSET
    text: str = ""


class Open:
    """Stands before the application as the gate of an open server does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["call"] = Call(Permission(admin=YES), OPEN, YES)
        await self._app(scope, receive, send)


def create_api(right_of_way: RightOfWay | None = None) -> Api:
    unused = Database({}, 1, 1.0)  # no operation here asks for a connection
    api = Api(
        "/api",
        BodyReader(10_000, 20_000),
        Workers(),
        unused,
        Reads(unused, None, unused.open),
        right_of_way=right_of_way or RightOfWay(),
    )

    @api.operation("GET", "/things")
    async def list_things(query: Filter) -> Listing[str]:
        """Things."""
        owner = "all" if query.owner is msgspec.UNSET else str(query.owner)
        return Listing([owner, query.text, f"{query.skip}/{query.limit}"], 7)

    @api.operation("POST", "/things", status=201)
    async def create_thing(body: Thing) -> Thing:
        """Creates a thing.

        And more of it.
        """
        return body

    @api.operation("PUT", "/things/{id}", raises=(NotFound, Conflict))
    async def update_thing(id: Id, body: Thing) -> Thing:  # noqa: A002
        """Changes a thing."""
        if id == 1:
            raise NotFound("No thing 1")
        if id == 2:
            raise Conflict("Somebody has it")
        return body

    @api.operation("POST", "/table", body_media="text/csv", media={"text/csv": str})
    async def post_table(body: bytes) -> Thing | Response:
        """Takes a table."""
        return Response(body, media_type="text/csv") if body else Thing("nothing")

    declare(api, "Things", "1", is_open=True)
    return api


@pytest.fixture(scope="module")
def client() -> httpx.AsyncClient:
    routes = create_api().routes(lambda *_: [Middleware(Open)])
    app = application(routes)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://server/api")


def only(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["detail"]
    assert isinstance(detail["msg"], str)
    content: dict[str, Any] = detail
    return content


async def test_callers_take_turns() -> None:
    api = create_api()
    waiting, going_on = [], asyncio.Event()

    @api.operation("GET", "/slow/{name}")
    async def wait(name: str) -> None:
        """Waits."""
        waiting.append(name)
        await going_on.wait()

    class Named(Open):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["call"] = Call(Permission(admin=YES), person("admin", scope["path"][-1]), YES)
            await self._app(scope, receive, send)

    routes = api.routes(lambda *_: [Middleware(Named)])
    app = application(routes)
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://server/api") as http,
        asyncio.TaskGroup() as tasks,
    ):
        calls = [tasks.create_task(http.get("/slow/a")) for _ in range(9)]
        await eventually(lambda: len(waiting) >= 4)
        calls.append(tasks.create_task(http.get("/slow/b")))
        await eventually(lambda: "b" in waiting)
        assert sorted(waiting) == ["a", "a", "a", "a", "b"]
        going_on.set()
    assert {call.result().status_code for call in calls} == {200}


async def test_bodies_that_wait_for_their_turn_are_bounded() -> None:
    api = create_api()
    going_on = asyncio.Event()

    @api.operation("POST", "/slow")
    async def keep(body: Thing) -> None:
        """Waits."""
        await going_on.wait()

    app = application(api.routes(lambda *_: [Middleware(Open)]))
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://server/api") as http,
        asyncio.TaskGroup() as tasks,
    ):
        calls = [tasks.create_task(http.post("/slow", json={"name": "x" * 900})) for _ in range(30)]
        await eventually(lambda: [each for each in calls if each.done()])
        going_on.set()
        await asyncio.wait(calls)
        assert (await http.post("/slow", json={"name": "x" * 9_000})).status_code == 200
    refused = [each.result() for each in calls if each.result().status_code == 429]
    assert len(refused) == 30 - 10_000 // len(refused[0].request.content)


async def test_a_listing_says_the_total(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things?skip=3&limit=500&text=null&owner=9&other=x")
    assert answer.json() == ["9", "null", "3/500"]
    assert answer.headers["X-Total-Count"] == "7"
    assert (await client.get("/things?text=a%00b")).json() == ["all", "a\ufffdb", "0/100"]


@pytest.mark.parametrize(
    "query", ["limit=501", "limit=0", "skip=-1", "limit=", "owner=null", "skip=9999999999999999999"]
)
async def test_a_parameter_is_of_its_type(client: httpx.AsyncClient, query: str) -> None:
    detail = only(await client.get(f"/things?{query}"))
    assert detail["loc"] == ["query", query.split("=")[0]]


async def test_errors_say_where_and_why(client: httpx.AsyncClient) -> None:
    assert only(await client.post("/things", json={})) == {
        "loc": ["body", "name"],
        "msg": "Field required",
        "type": "missing",
    }
    assert only(await client.post("/things", json={"name": 1}))["loc"] == ["body", "name"]
    assert only(await client.post("/things", json={"name": "", "size": None}))["loc"][1] == "size"
    assert only(await client.put("/things/x", json={"name": ""}))["loc"] == ["path", "id"]
    assert only(await client.put(f"/things/{2**63}", json={"name": ""}))["loc"] == ["path", "id"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"name": "\xff"}', b'{"content": ' + b"[" * 9_000])
async def test_what_is_no_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    detail = only(await client.post("/things", content=body))
    assert detail["loc"] == ["body"]
    assert detail["type"] == "json_invalid"


async def test_other_bodies_get_their_own_status(client: httpx.AsyncClient) -> None:
    large = await client.post("/things", content=b" " * 10_001)
    assert large.status_code == 413
    kind = {"Content-Type": "text/plain"}
    assert (await client.post("/things", content=b"{}", headers=kind)).status_code == 415
    broken = await client.post("/things", content=b"{}", headers={"Content-Encoding": "gzip"})
    assert broken.status_code == 400


async def test_raw_json_stays_as_it_was_sent(client: httpx.AsyncClient) -> None:
    content = rb'{ "a":  "\u0000\ud800" }'
    answer = await client.post("/things", content=b'{"content":%s, "name": "\\u0000"}' % content)
    assert answer.content == b'{"name":"\xef\xbf\xbd","content":%s}' % content
    assert "content" not in (await client.post("/things", content=rb'{"name": "\u0000"}')).json()


async def test_a_raised_error_has_its_status(client: httpx.AsyncClient) -> None:
    body = {"name": "x"}
    missing = await client.put("/things/1", json=body)
    assert (missing.status_code, missing.json()) == (404, {"detail": "No thing 1"})
    assert (await client.put("/things/2", json=body)).status_code == 409
    assert (await client.put("/things/3", json=body)).json() == body


async def test_a_body_and_an_answer_may_be_of_another_type(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "text/csv"}
    answer = await client.post("/table", content=b"a,b\n", headers=headers)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.content == b"a,b\n"
    assert (await client.post("/table", headers=headers)).json() == {"name": "nothing"}


async def test_missing_method_lists_the_allowed_ones(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.patch("/things")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_the_document_describes_operations_by_their_types(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/api/things", "/api/things/{id}", "/api/table", "/api/openapi.json"
    }  # fmt: skip
    things = document["paths"]["/api/things"]
    assert things["post"]["summary"] == "Creates a thing."
    assert things["post"]["description"] == "And more of it."
    assert set(things["post"]["responses"]) == {
        "201",
        "400",
        "401",
        "403",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    names = [parameter["name"] for parameter in things["get"]["parameters"]]
    assert names == ["skip", "limit", "owner", "text"]
    assert things["get"]["parameters"][1]["schema"]["maximum"] == 500
    assert "X-Total-Count" in things["get"]["responses"]["200"]["headers"]
    changed = document["paths"]["/api/things/{id}"]["put"]["responses"]
    assert set(changed) == {
        "200",
        "400",
        "401",
        "403",
        "404",
        "409",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    table = document["paths"]["/api/table"]["post"]
    assert set(table["requestBody"]["content"]) == {"text/csv"}
    assert set(table["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    assert set(document["components"]["schemas"]) == {
        "Thing",
        "Problem",
        "InvalidRequest",
        "Detail",
    }


@pytest.mark.parametrize(("role", "waits"), [("instructor", True), ("student", False)])
async def test_bulk_waits_for_calls_of_staff(role: Role, waits: bool) -> None:
    right_of_way = RightOfWay()
    api = create_api(right_of_way)

    @api.operation("GET", "/answer")
    async def answer() -> bool:
        """Whether bulk waits meanwhile."""
        bulk = asyncio.create_task(right_of_way.give())
        await asyncio.sleep(0)
        return not bulk.done()

    class Signed(Open):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["call"] = Call(Permission(), person(role, "ann"), YES)
            await self._app(scope, receive, send)

    routes = api.routes(lambda *_: [Middleware(Signed)])
    transport = httpx.ASGITransport(application(routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://server/api") as http:
        assert (await http.get("/answer")).json() is waits
