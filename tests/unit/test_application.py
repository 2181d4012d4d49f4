from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope

from monitor.errors import Unavailable
from tests.support.applications import application

SCHOOL, STRANGER = "https://school.example", "https://elsewhere.example"


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello", headers={"X-Total-Count": "1"})


async def take(scope: Scope, receive: Receive) -> tuple[int, bytes]:
    return 202, b'"taken"'


async def broken(scope: Scope, receive: Receive) -> tuple[int, bytes]:
    raise ZeroDivisionError


async def busy(scope: Scope, receive: Receive) -> tuple[int, bytes]:
    raise Unavailable("The disk is full")


def client(origins: list[str]) -> httpx.AsyncClient:
    ingest = {"/hello": take, "/broken": broken, "/busy": busy}
    app = application([Route("/other", hello)], ingest, origins=origins, expose=["X-Total-Count"])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server")


@pytest.fixture
async def open_to_all() -> AsyncIterator[httpx.AsyncClient]:
    async with client(["*"]) as open_client:
        yield open_client


@pytest.fixture
async def open_to_one() -> AsyncIterator[httpx.AsyncClient]:
    async with client([SCHOOL]) as open_client:
        yield open_client


@pytest.mark.parametrize("path", ["/hello", "/hello/"])
async def test_any_origin_may_read_answers_of_ingest(
    open_to_all: httpx.AsyncClient, path: str
) -> None:
    answer = await open_to_all.post(path, headers={"Origin": STRANGER})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "X-Request-ID"


async def test_any_origin_is_for_ingest_alone(open_to_all: httpx.AsyncClient) -> None:
    answer = await open_to_all.get("/nothing", headers={"Origin": STRANGER})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": STRANGER, "Access-Control-Request-Method": "PUT"}
    assert (await open_to_all.options("/nothing", headers=asked)).status_code == 400


@pytest.mark.parametrize("path", ["/hello", "/other", "/nothing"])
async def test_each_answer_is_secured(open_to_one: httpx.AsyncClient, path: str) -> None:
    for origin in ({}, {"Origin": SCHOOL}, {"Origin": STRANGER}):
        headers = (await open_to_one.get(path, headers=origin)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"


async def test_without_an_origin_nothing_is_added(open_to_all: httpx.AsyncClient) -> None:
    answer = await open_to_all.post("/hello")
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_only_a_listed_origin_may_read(open_to_one: httpx.AsyncClient) -> None:
    ours = await open_to_one.post("/hello", headers={"Origin": SCHOOL})
    assert ours.headers["access-control-allow-origin"] == SCHOOL
    theirs = await open_to_one.post("/hello", headers={"Origin": STRANGER})
    assert "access-control-allow-origin" not in theirs.headers
    # A cache must not give the one the answer to the other.
    assert ours.headers["vary"] == theirs.headers["vary"] == "Origin"


@pytest.mark.parametrize(("origin", "status"), [(SCHOOL, 200), (STRANGER, 400)])
async def test_a_preflight_is_answered(
    open_to_one: httpx.AsyncClient, origin: str, status: int
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await open_to_one.options("/hello", headers=asked)
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (SCHOOL if status == 200 else None)


@pytest.mark.parametrize("path", ["/other", "/other/", "/hello", "/hello/"])
async def test_a_path_may_end_in_a_slash(open_to_one: httpx.AsyncClient, path: str) -> None:
    method = "GET" if "other" in path else "POST"
    expected = "hello" if method == "GET" else '"taken"'
    assert (await open_to_one.request(method, path)).text == expected


async def test_ingest_takes_no_other_method(open_to_one: httpx.AsyncClient) -> None:
    answer = await open_to_one.get("/hello")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["Allow"] == "POST"


async def test_ingest_answers_errors_like_every_route(open_to_one: httpx.AsyncClient) -> None:
    busy = await open_to_one.post("/busy")
    assert (busy.status_code, busy.json()) == (503, {"detail": "The disk is full"})
    assert busy.headers["Retry-After"] == "1"
    broken = await open_to_one.post("/broken")
    assert (broken.status_code, broken.json()) == (500, {"detail": "Internal Server Error"})
