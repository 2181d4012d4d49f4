"""Signing in at an OpenID Connect provider, and what the login's cookie is good for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.openid import CLIENT, OpenIdProvider, run_openid
from tests.support.replicas import Replica

PAGE = {"X-Cell-Monitor": "page"}
LOGIN = "cell-monitor-login"


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with run_openid() as provider:
        yield provider


@pytest.fixture
def replica(environment: dict[str, str], provider: OpenIdProvider) -> Iterator[Replica]:
    with Replica(environment | provider.settings) as replica:
        yield replica


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """What the page sends: cookies, its Origin, and its header."""
    origin = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    async with httpx.AsyncClient(
        base_url=url, headers=PAGE | {"Origin": origin}, timeout=15
    ) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, next_: str = "") -> httpx.Response:
    """The last answer before the page: it leads there, and sets the cookie."""
    begun = await client.get("/login", params={"next": next_} if next_ else {})
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as elsewhere:  # the provider has cookies of its own
        led = await elsewhere.get(begun.headers["Location"])
    assert led.status_code == 302, led.text
    return await client.get(led.headers["Location"])


async def test_somebody_signs_in_works_and_signs_out(
    replica: Replica, provider: OpenIdProvider
) -> None:
    async with browser(replica.url) as client:
        assert (await client.get("/api/v1/classes")).status_code == 401
        done = await sign_in(client, "#/class/7/help")
        assert (done.status_code, done.headers["Location"]) == (303, "/#/class/7/help")
        made = await client.post("/api/v1/classes", json={"name": "A", "class_code": "A"})
        assert made.status_code == 201, made.text
        shown = (await client.get("/login/session")).json()
        assert shown == {"user_id": "sensei", "name": "鈴木先生", "role": "instructor"}
        out = await client.post("/logout")
        query = parse_qs(urlsplit(out.json()["url"]).query)
        assert query["client_id"] == [CLIENT]
        assert query["post_logout_redirect_uri"] == [f"{replica.url}/"]
        assert query["id_token_hint"]
        assert LOGIN not in client.cookies
        assert (await client.get("/api/v1/classes")).status_code == 401
