"""Signing in at an OpenID Connect provider, and what the login's cookie is good for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.audit import last_changes
from tests.support.events import event
from tests.support.lms import create_class, unique
from tests.support.openid import CLIENT, SENSEI, OpenIdProvider, run_openid
from tests.support.postgres import Address, environment_of, fetch, temporary_database
from tests.support.provider import RSA
from tests.support.replicas import RUN, RUN_CHECKING_OFTEN, Replica
from tests.support.tokens import SECRET, bearer, client, token
from tests.support.waiting import eventually

PAGE = {"X-Cell-Monitor": "page"}
LOGIN, ATTEMPT = "cell-monitor-login", "cell-monitor-sign-in"


class Site(NamedTuple):
    replica: Replica
    provider: OpenIdProvider
    database: Address


@asynccontextmanager
async def open_site(
    address: Address, directory: Path, command: Sequence[str] = RUN
) -> AsyncIterator[Site]:
    with run_openid() as provider:
        settings = environment_of(address, directory) | provider.settings
        with Replica(settings | {"JWT_SECRET": SECRET}, command=command) as replica:
            yield Site(replica, provider, address)


@pytest.fixture(scope="module")
async def shared_site(
    postgres_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with (
        temporary_database(postgres_server) as address,
        open_site(address, tmp_path_factory.mktemp("replica")) as site,
    ):
        yield site


@pytest.fixture
async def checking_site(postgres: Address, tmp_path: Path) -> AsyncIterator[Site]:
    """It checks often whether logins are valid."""
    async with open_site(postgres, tmp_path, RUN_CHECKING_OFTEN) as site:
        yield site


@pytest.fixture
async def own_site(postgres: Address, tmp_path: Path) -> AsyncIterator[Site]:
    """Nobody has called before: connections that are idle report late what they read."""
    async with open_site(postgres, tmp_path) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """With a provider that is well, and has a person whom no other test has."""
    provider = shared_site.provider
    provider.claims, provider.changed = {**SENSEI, "sub": unique("sensei")}, {}
    provider.key, provider.refreshed, provider.signed_out = RSA, 0, []
    provider.is_down = provider.ends_logins = False
    provider.delay = 0.0
    return shared_site


@asynccontextmanager
async def browser(url: str, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """What the page sends: cookies, its Origin, and its header."""
    origin = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    sent = PAGE | {"Origin": origin} | headers
    async with httpx.AsyncClient(base_url=url, headers=sent, timeout=15) as client:
        yield client


async def begin(client: httpx.AsyncClient, next_: str = "") -> str:
    """The URL by which the provider leads back."""
    begun = await client.get("/login", params={"next": next_} if next_ else {})
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as elsewhere:  # the provider has cookies of its own
        led = await elsewhere.get(begun.headers["Location"])
    assert led.status_code == 302, led.text
    return led.headers["Location"]


async def sign_in(client: httpx.AsyncClient, next_: str = "") -> httpx.Response:
    """The last answer before the page: it leads there, and sets the cookie."""
    done = await client.get(await begin(client, next_))
    assert LOGIN in client.cookies, done.headers
    return done


async def status(client: httpx.AsyncClient, path: str = "/classes") -> int:
    return (await client.get(f"/api/v1{path}")).status_code


async def status_with(site: Site, login: str) -> int:
    """The same with a cookie that was kept."""
    async with browser(site.replica.url, Cookie=f"{LOGIN}={login}") as client:
        return await status(client)


async def change(site: Site, assignment: str) -> None:
    """Sets columns of this test's person's logins."""
    query = f"UPDATE login_sessions SET {assignment} WHERE user_id = $1"
    await fetch(site.database, query, site.provider.claims["sub"])


async def logins(site: Site) -> list[dict[str, Any]]:
    query = "SELECT * FROM login_sessions WHERE user_id = $1"
    return await fetch(site.database, query, site.provider.claims["sub"])


def failure(answer: httpx.Response) -> str:
    """Why somebody is not signed in, as the page learns it."""
    assert answer.status_code == 303, answer.text
    assert LOGIN not in str(answer.headers.get_list("set-cookie"))
    assert answer.headers["Location"].startswith("/?")
    return parse_qs(answer.headers["Location"][2:])["login"][0]


async def test_somebody_signs_in_works_and_signs_out(site: Site) -> None:
    replica, provider = site.replica, site.provider
    async with browser(replica.url) as client:
        assert await status(client) == 401
        done = await sign_in(client, "#/class/7/help")
        assert (done.status_code, done.headers["Location"]) == (303, "/#/class/7/help")
        body = {"name": "A", "class_code": unique()}
        assert (await client.post("/api/v1/classes", json=body)).status_code == 201
        shown = (await client.get("/login/session")).json()
        who = provider.claims["sub"]
        assert shown == {"user_id": who, "name": "鈴木先生", "role": "instructor"}
        out = await client.post("/logout")
        query = parse_qs(urlsplit(out.json()["url"]).query)
        assert query["client_id"] == [CLIENT]
        assert query["post_logout_redirect_uri"] == [f"{replica.url}/"]
        assert query["id_token_hint"]
        assert LOGIN not in client.cookies
        assert await status(client) == 401
    assert await logins(site) == []


async def test_a_cookie_that_was_kept_is_worth_nothing_after_signing_out(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        assert await status(client) == 200
        kept = client.cookies[LOGIN]
        await client.post("/logout")
        client.headers["Cookie"] = f"{LOGIN}={kept}"
        answer = await client.get("/api/v1/classes")
        assert answer.status_code == 401
        assert "login has ended" in answer.json()["detail"]
        assert (await client.post("/logout")).status_code == 200
        async with httpx.AsyncClient(base_url=site.replica.url) as other:
            for headers in (bearer(kept), {"X-Ingest-Key": kept}):
                assert (await other.get("/api/v1/classes", headers=headers)).status_code == 401


async def test_signing_in_and_out_is_in_the_audit_log(site: Site) -> None:
    async with browser(site.replica.url) as page:
        await sign_in(page)
        await page.post("/logout")
    async with client(site.replica.url, token("root", "admin")) as api:
        entries = await last_changes(api, 2)
    who = site.provider.claims["sub"]
    assert [(each["operation"], each["name"]) for each in entries] == [
        ("sign in", who),
        ("sign out", who),
    ]


@pytest.mark.parametrize(
    "next_",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "evil.example",
        "#javascript:alert(1)",
        "#/a\r\nSet-Cookie: x=y",
        "#/" + "x" * 600,
    ],
)
async def test_the_way_back_leads_to_the_page_only(site: Site, next_: str) -> None:
    async with browser(site.replica.url, Host="evil.example") as client:
        client.headers.pop("Origin")
        begun = await client.get("/login", params={"next": next_})
        async with httpx.AsyncClient() as elsewhere:
            led = await elsewhere.get(begun.headers["Location"])
        query = urlsplit(led.headers["Location"]).query
        done = await client.get(f"/login/callback?{query}")
        assert (done.status_code, done.headers["Location"]) == (303, "/")


async def test_an_answer_of_another_sign_in_is_refused(site: Site) -> None:
    async with browser(site.replica.url) as client, browser(site.replica.url) as other:
        callback, others = await begin(client), await begin(other)
        assert failure(await client.get(others)) == "expired"  # which also forgets the attempt
        assert failure(await client.get(callback)) == "expired"
        assert failure(await client.get("/login/callback")) == "expired"
        client.cookies.set(ATTEMPT, "x" * 100)
        assert failure(await client.get(others)) == "expired"


async def test_a_code_can_be_used_once(site: Site) -> None:
    async with browser(site.replica.url) as client:
        callback = await begin(client)
        attempt = client.cookies[ATTEMPT]
        assert (await client.get(callback)).headers["Location"] == "/"
        assert ATTEMPT not in client.cookies
        client.cookies.set(ATTEMPT, attempt)
        assert failure(await client.get(callback)) == "refused"


async def test_a_code_is_worth_nothing_without_the_verifier(site: Site) -> None:
    """PKCE: somebody has seen the address by which the provider leads back."""
    async with browser(site.replica.url) as client, browser(site.replica.url) as thief:
        stolen = parse_qs(urlsplit(await begin(client)).query)["code"][0]
        own = parse_qs(urlsplit(await begin(thief)).query)["state"][0]
        answer = await thief.get("/login/callback", params={"code": stolen, "state": own})
        assert failure(answer) == "refused"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"nonce": "another"}, "refused"),
        ({"nonce": None}, "refused"),
        ({"aud": "another"}, "refused"),
        ({"aud": [CLIENT, "another"]}, "refused"),
        ({"azp": "another"}, "refused"),
        ({"iss": "https://elsewhere.example"}, "refused"),
        # The name of a test must not depend on when it is collected: pytest-xdist compares them.
        pytest.param({"exp": int(time.time()) - 120}, "refused", id="it is over"),
        ({"role": "janitor"}, "no-role"),
        ({"sub": ""}, "no-role"),
        ({"sub": 7}, "refused"),
    ],
    ids=str,
)
async def test_a_wrong_id_token_signs_nobody_in(
    site: Site, changed: dict[str, Any], expected: str
) -> None:
    site.provider.changed = changed
    async with browser(site.replica.url) as client:
        assert failure(await client.get(await begin(client))) == expected
        assert await status(client) == 401


async def test_an_id_token_of_another_key_signs_nobody_in(site: Site) -> None:
    site.provider.key = rsa.generate_private_key(65537, 2048)
    async with browser(site.replica.url) as client:
        assert failure(await client.get(await begin(client))) == "refused"


async def test_what_the_provider_refuses_is_said(site: Site) -> None:
    async with browser(site.replica.url) as client:
        state = parse_qs(urlsplit(await begin(client)).query)["state"][0]
        answer = await client.get(
            "/login/callback", params={"error": "access_denied", "state": state}
        )
        assert failure(answer) == "refused"
        callback = await begin(client)
        site.provider.is_down = True
        assert failure(await client.get(callback)) == "unavailable"
    assert "access_denied" in site.replica.output()


async def test_a_change_needs_the_pages_header_and_origin(site: Site) -> None:
    url = site.replica.url
    body = {"name": "A", "class_code": unique()}
    async with browser(url) as client:
        await sign_in(client)
        own = {"Origin": url, **PAGE}
        for headers in (
            {"Origin": "https://evil.example", **PAGE},
            {"Origin": "null", **PAGE},
            {"Origin": url.replace("127.0.0.1", "localhost"), **PAGE},
            {"Origin": f"{url}1", **PAGE},
            {"Origin": "", **PAGE},
            {**own, "X-Cell-Monitor": ""},
        ):
            client.headers.update(headers)
            for call in ("/api/v1/classes", "/logout"):
                answer = await client.post(call, json=body)
                assert answer.status_code == 403, (headers, call)
        client.headers.update(own)
        del client.headers["X-Cell-Monitor"]
        assert await status(client) == 200  # reading changes nothing
        assert (await client.post("/api/v1/classes", json=body)).status_code == 403
        client.headers.update(PAGE)
        del client.headers["Origin"]
        assert (await client.post("/api/v1/classes", json=body)).status_code == 403
        client.headers.update(own)
        assert (await client.post("/api/v1/classes", json=body)).status_code == 201


@pytest.mark.parametrize("path", ["/events", "/student-progress", "/cell-monitor"])
async def test_no_event_is_posted_with_a_login(site: Site, path: str) -> None:
    """Any page may make a browser post there."""
    async with browser(site.replica.url) as client:
        await sign_in(client)
        assert await status(client) == 200
        answer = await client.post(f"/api/v1{path}", json=[event()])
        assert answer.status_code == 401


async def test_a_socket_needs_the_pages_origin(site: Site) -> None:
    replica = site.replica
    url = f"ws://127.0.0.1:{replica.port}/ws"
    async with browser(replica.url) as client:
        await sign_in(client)
        cookie = {"Cookie": f"{LOGIN}={client.cookies[LOGIN]}"}
    async with connect(
        url, proxy=None, additional_headers=cookie | {"Origin": replica.url}
    ) as socket:
        assert json.loads(await socket.recv())["event"] == "subscribed"
    with pytest.raises(InvalidStatus):
        async with connect(url, proxy=None, additional_headers=cookie):
            pass
    elsewhere = cookie | {"Origin": "https://evil.example"}  # its cookie doesn't count
    async with connect(url, proxy=None, additional_headers=elsewhere) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401


async def test_a_socket_learns_that_its_login_has_ended(checking_site: Site) -> None:
    replica = checking_site.replica
    url = f"ws://127.0.0.1:{replica.port}/ws"
    async with browser(replica.url) as client:
        await sign_in(client)
        headers = {"Cookie": f"{LOGIN}={client.cookies[LOGIN]}", "Origin": replica.url}
        async with connect(url, proxy=None, additional_headers=headers) as socket:
            await socket.recv()
            await client.post("/logout")
            await asyncio.wait_for(socket.wait_closed(), 45)
            assert socket.close_code == 4401
    for later in (headers, {"Origin": replica.url}):
        async with connect(url, proxy=None, additional_headers=later) as refused:
            with pytest.raises(ConnectionClosed):
                await refused.recv()
            assert refused.close_code == 4401


async def test_a_login_lasts_twelve_hours(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        (row,) = await logins(site)
        seconds = (row["expires_at"] - row["issued_at"]).total_seconds()
        assert seconds == pytest.approx(12 * 3600, abs=5)
        await change(site, "expires_at = now()")
        assert await status(client) == 401


async def test_who_is_signed_in_is_asked_again_and_keeps_or_loses_the_role(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now()")
        site.provider.claims["role"] = "admin"
        assert await status(client, "/audit") == 200
        assert site.provider.refreshed == 1
        assert await status(client, "/audit") == 200  # trusted for 20 s
        assert site.provider.refreshed == 1
        (row,) = await logins(site)
        assert row["role"] == "admin"
        assert (row["due_at"] - row["issued_at"]).total_seconds() > 3000


async def test_many_calls_at_once_refresh_once(site: Site) -> None:
    """After a night: a refresh token can be used once, and all calls need its answer."""
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now() - interval '8 hours'")
        assert await asyncio.gather(*(status(client) for _ in range(8))) == [200] * 8
        assert site.provider.refreshed == 1


async def test_a_provider_that_is_away_is_asked_once_for_all_who_wait(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now() - interval '8 hours'")
        site.provider.is_down = True
        began = time.monotonic()
        for _ in range(2):
            assert await asyncio.gather(*(status(client) for _ in range(12))) == [503] * 12
        assert time.monotonic() - began < 4
        site.provider.is_down = False
        await eventually(partial(status, client), lambda code: code == 200, within=8)


async def test_who_waits_for_a_slow_provider_does_not_ask_the_database(own_site: Site) -> None:
    site = own_site
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now() - interval '8 hours'")
        site.provider.delay = 3.0
        before = await looks(site)
        assert await asyncio.gather(*(status(client) for _ in range(8))) == [200] * 8
        assert site.provider.refreshed == 1
        await asyncio.sleep(2)  # connections report what they did when they have been idle
        assert await looks(site) - before < 40


async def test_replicas_ask_a_provider_once_together(site: Site, tmp_path: Path) -> None:
    settings = environment_of(site.database, tmp_path) | site.provider.settings
    with Replica(settings | {"JWT_SECRET": SECRET}) as second:
        async with browser(site.replica.url) as here, browser(second.url) as there:
            await sign_in(here)
            there.cookies.set(LOGIN, here.cookies[LOGIN])
            await change(site, "due_at = now() - interval '8 hours'")
            site.provider.delay = 1.5
            both = [status(each) for each in (here, there) for _ in range(4)]
            assert await asyncio.gather(*both) == [200] * 8
            assert site.provider.refreshed == 1
            await sign_in(here)
            there.cookies.set(LOGIN, here.cookies[LOGIN])
            await change(site, "due_at = now() - interval '8 hours'")
            site.provider.is_down = True
            began = time.monotonic()
            both = [status(each) for each in (here, there) for _ in range(4)]
            assert await asyncio.gather(*both) == [503] * 8
            assert time.monotonic() - began < 5


async def looks(site: Site) -> int:
    """How often the table of logins was read."""
    query = """
        SELECT seq_scan + idx_scan AS looks FROM pg_stat_user_tables
        WHERE relname = 'login_sessions'
    """
    (row,) = await fetch(site.database, query)
    looks: int = row["looks"]
    return looks


async def test_a_login_stays_valid_while_its_provider_is_asked_too_much(site: Site) -> None:
    """As when a whole school signs in at one address."""
    async with browser(site.replica.url) as client, browser(site.replica.url) as others:
        await sign_in(client)
        await change(site, "due_at = now()")
        state = parse_qs(urlsplit(await begin(others)).query)["state"][0]
        site.provider.delay = 1.5
        query = {"code": "unknown", "state": state}
        asking = [
            asyncio.create_task(others.get("/login/callback", params=query)) for _ in range(80)
        ]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert {failure(each.result()) for each in done} == {"unavailable"}
        assert await status(client) == 200
        assert site.provider.refreshed == 0
        await asyncio.gather(*asking)


async def test_a_refused_refresh_ends_the_login(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now()")
        site.provider.ends_logins = True
        answer = await client.get("/api/v1/classes")
        assert answer.status_code == 401
        assert "login has ended" in answer.json()["detail"]
        assert await logins(site) == []
        site.provider.ends_logins = False
        assert await status(client) == 401


async def test_a_refresh_that_names_somebody_else_ends_the_login(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now()")
        site.provider.changed = {"sub": "somebody else"}
        assert await status(client) == 401
        assert await logins(site) == []


async def test_while_the_provider_is_away_logins_stay_valid_for_a_minute(site: Site) -> None:
    async with browser(site.replica.url) as client, browser(site.replica.url) as other:
        await sign_in(client)
        await change(site, "due_at = now() - interval '50 seconds'")
        site.provider.is_down = True
        assert await status(client) == 200
        site.provider.is_down = False
        await sign_in(other)
        await change(site, "due_at = now() - interval '70 seconds'")
        site.provider.is_down = True
        assert await status(other) == 503
        site.provider.is_down = False
        await eventually(partial(status, other), lambda code: code == 200)


async def test_while_the_provider_is_away_somebody_signs_out_and_in_elsewhere(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await change(site, "due_at = now() - interval '70 seconds'")
        site.provider.is_down = True
        assert await status(client) == 503
        assert (await client.get("/login")).status_code == 303
        assert (await client.get("/health")).status_code == 200
        kept = client.cookies[LOGIN]
        assert (await client.post("/logout")).status_code == 200
        assert LOGIN not in client.cookies
        assert await logins(site) == []
        assert await status_with(site, kept) == 401


async def test_a_socket_ends_when_its_login_was_not_confirmed_for_a_minute(
    checking_site: Site,
) -> None:
    site, replica = checking_site, checking_site.replica
    url = f"ws://127.0.0.1:{replica.port}/ws"
    async with browser(replica.url) as client:
        await sign_in(client)
        headers = {"Cookie": f"{LOGIN}={client.cookies[LOGIN]}", "Origin": replica.url}
        async with connect(url, proxy=None, additional_headers=headers) as socket:
            await socket.recv()
            await change(site, "due_at = now() - interval '70 seconds'")
            site.provider.is_down = True
            await asyncio.wait_for(socket.wait_closed(), 45)
            assert socket.close_code == 1011
    assert "Traceback" not in replica.output()


async def test_a_person_whose_tokens_are_revoked_has_to_sign_in_again(site: Site) -> None:
    async with browser(site.replica.url) as page:
        await sign_in(page)
        assert await status(page) == 200
        async with client(site.replica.url, token("root", "admin")) as api:
            revoked = await api.post(
                "/token-revocations", json={"user_id": site.provider.claims["sub"]}
            )
            assert revoked.status_code == 201
        assert await status(page) == 401
        await sign_in(page)
        assert await status(page) == 200


async def test_what_is_stored_signs_nobody_in(site: Site) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        (row,) = await logins(site)
        stored = repr(row)
        assert client.cookies[LOGIN] not in stored
        assert not any(each in stored for each in site.provider.issued)
        for guess in (row["sha256"].hex(), client.cookies[LOGIN][::-1], "x" * 43):
            assert await status_with(site, guess) == 401
        assert await status_with(site, client.cookies[LOGIN]) == 200


async def test_a_login_ends_where_somebody_signs_in_anew_and_after_twenty_others(
    site: Site,
) -> None:
    async with browser(site.replica.url) as client:
        await sign_in(client)
        await sign_in(client)
        assert len(await logins(site)) == 1
        first = client.cookies[LOGIN]
        for _ in range(20):
            client.cookies.delete(LOGIN)
            await sign_in(client)
        assert len(await logins(site)) == 20
        assert await status(client) == 200
        assert await status_with(site, first) == 401


async def test_a_public_client_below_a_path_signs_in_without_refreshing(
    environment: dict[str, str],
) -> None:
    with run_openid(secret="", refreshes=False) as provider:
        settings = environment | provider.settings | {"ROOT_PATH": "/monitor"}
        with Replica(settings) as replica:
            async with browser(f"{replica.url}/monitor") as client:
                done = await sign_in(client, "#/classes")
                assert done.headers["Location"] == "/monitor/#/classes"
                (cookie,) = [each for each in done.headers.get_list("set-cookie") if LOGIN in each]
                assert "Path=/monitor/" in cookie
                assert "HttpOnly" in cookie
                assert "SameSite=lax" in cookie
                assert "Secure" not in cookie
                assert "expires" not in cookie.lower()  # it goes with the browser
                assert await status(client) == 200
                out = (await client.post("/logout")).json()["url"]
                assert parse_qs(urlsplit(out).query)["post_logout_redirect_uri"] == [
                    f"{replica.url}/monitor/"
                ]


@pytest.mark.parametrize(
    "setting",
    [{"PUBLIC_URL": "http://127.0.0.1:1/%E6%95%B0%E5%AD%A6%20A"}, {"ROOT_PATH": "/数学 A"}],
)
async def test_somebody_signs_in_below_a_path_that_has_to_be_quoted(
    environment: dict[str, str], setting: dict[str, str]
) -> None:
    below = "/%E6%95%B0%E5%AD%A6%20A/"
    with (
        run_openid() as provider,
        Replica(environment | provider.settings | setting) as replica,
    ):
        async with browser(replica.url) as client:
            begun = await client.get(f"{below}login", params={"next": "#/classes"})
            assert f"Path={below};" in begun.headers["Set-Cookie"]
            async with httpx.AsyncClient() as elsewhere:
                led = await elsewhere.get(begun.headers["Location"])
            query = urlsplit(led.headers["Location"]).query
            done = await client.get(f"{below}login/callback?{query}")
            assert done.headers["Location"] == f"{below}#/classes"
            assert (await client.get(f"{below}api/v1/classes")).status_code == 200


async def test_by_https_the_cookie_is_for_https_only(environment: dict[str, str]) -> None:
    with run_openid() as provider:
        settings = environment | provider.settings | {"PUBLIC_URL": "https://school.example"}
        with Replica(settings) as replica:
            async with browser(replica.url, Origin="https://school.example") as client:
                begun = await client.get("/login")
                asked = parse_qs(urlsplit(begun.headers["Location"]).query)
                assert asked["redirect_uri"] == ["https://school.example/login/callback"]
                assert "Secure" in begun.headers["Set-Cookie"]


class CookieJar:
    """A browser's cookies for https, which httpx would not send to a server without TLS."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}
        self.attributes: dict[str, str] = {}

    def take(self, answer: httpx.Response) -> None:
        for header in answer.headers.get_list("set-cookie"):
            pair, _, attributes = header.partition("; ")
            name, _, value = pair.partition("=")
            self.attributes[name] = attributes
            self.cookies[name] = value
            if "Max-Age=0" in attributes:
                del self.cookies[name]

    def header(self, first: str = "", **others: str) -> dict[str, str]:
        """With what a page of a sibling host has planted, in place of ours or before them."""
        kept = self.cookies | others
        pairs = [first, *(f"{name}={value}" for name, value in kept.items() if value)]
        return {"Cookie": "; ".join(filter(None, pairs))}


async def jar_of(client: httpx.AsyncClient) -> CookieJar:
    """Of somebody who has signed in below `/monitor`."""
    jar = CookieJar()
    begun = await client.get("/monitor/login")
    jar.take(begun)
    async with httpx.AsyncClient() as elsewhere:
        led = await elsewhere.get(begun.headers["Location"])
    query = urlsplit(led.headers["Location"]).query
    done = await client.get(f"/monitor/login/callback?{query}", headers=jar.header())
    assert done.headers["Location"] == "/monitor/"
    jar.take(done)
    return jar


async def test_by_https_a_cookie_that_a_sibling_host_has_planted_is_none(
    environment: dict[str, str],
) -> None:
    """Such as a student's server beside the service of a JupyterHub with subdomains."""
    with run_openid() as provider:
        settings = environment | provider.settings
        url = "https://hub.school.example/monitor"
        with Replica(settings | {"PUBLIC_URL": url}) as replica:
            async with browser(replica.url, Origin="https://hub.school.example") as client:

                async def who(headers: dict[str, str]) -> str:
                    answer = await client.get("/monitor/login/session", headers=headers)
                    shown = answer.json()
                    return str(shown.get("user_id", answer.status_code))

                jar = await jar_of(client)
                (mark,) = [name for name in jar.cookies if name.startswith(f"__Host-{LOGIN}")]
                assert set(jar.cookies) == {LOGIN, mark}
                assert "Path=/monitor/" in jar.attributes[LOGIN]
                assert "Path=/;" in jar.attributes[mark]
                for attributes in (jar.attributes[LOGIN], jar.attributes[mark]):
                    assert "HttpOnly; " in attributes
                    assert "SameSite=lax; Secure" in attributes
                    assert "domain" not in attributes.lower()
                provider.claims = {"sub": "alice", "role": "student"}
                planted = f"{LOGIN}={(await jar_of(client)).cookies[LOGIN]}"
                assert await who(jar.header()) == "sensei"
                assert await who(jar.header(planted)) == "sensei"
                assert await who({"Cookie": planted}) == "401"
                assert await who(jar.header(planted, **{LOGIN: ""})) == "401"
                assert await who(jar.header(**{mark: ""})) == "401"
                out = await client.post("/monitor/logout", headers=jar.header(planted))
                jar.take(out)
                assert jar.cookies == {}


async def test_by_https_a_sign_in_that_a_sibling_host_has_begun_is_none(
    environment: dict[str, str],
) -> None:
    with run_openid() as provider:
        settings = environment | provider.settings | {"PUBLIC_URL": "https://school.example"}
        with Replica(settings) as replica:
            async with browser(replica.url, Origin="https://school.example") as client:
                jar = CookieJar()
                begun = await client.get("/login")
                jar.take(begun)
                async with httpx.AsyncClient() as elsewhere:
                    led = await elsewhere.get(begun.headers["Location"])
                path = f"/login/callback?{urlsplit(led.headers['Location']).query}"
                planted = {"Cookie": f"{ATTEMPT}={jar.cookies[ATTEMPT]}"}
                assert failure(await client.get(path, headers=planted)) == "expired"
                done = await client.get(path, headers=jar.header())
                assert done.headers["Location"] == "/"
                jar.take(done)
                assert len(jar.cookies) == 2  # those of the login: the attempt's are gone


async def test_an_address_that_the_provider_has_not_verified_signs_nobody_in(
    environment: dict[str, str],
) -> None:
    """At some providers anybody may enter the address of somebody else."""
    email = "sensei@school.example"
    with run_openid() as provider:
        settings = environment | provider.settings | {"JWT_USER_CLAIM": "email"}
        with Replica(settings) as replica:
            for unverified in ({}, {"email_verified": False}, {"email_verified": "false"}):
                provider.claims = {**SENSEI, "email": email} | unverified
                async with browser(replica.url) as client:
                    assert failure(await client.get(await begin(client))) == "refused"
            assert "doesn't say that its email is verified" in replica.output()
            for verified in (True, "true"):
                provider.claims |= {"email_verified": verified}
                async with browser(replica.url) as client:
                    await sign_in(client)
                    assert (await client.get("/login/session")).json()["user_id"] == email


async def test_a_provider_that_calls_itself_otherwise_is_not_used(
    environment: dict[str, str],
) -> None:
    with run_openid() as provider:
        settings = environment | provider.settings
        settings["OIDC_ISSUER"] = provider.url.replace("127.0.0.1", "localhost")
        with Replica(settings) as replica:
            async with browser(replica.url) as client:
                assert failure(await client.get("/login")) == "unavailable"
            assert f"OIDC_ISSUER must be {provider.url}" in replica.output()


async def invitation(site: Site, *users: str) -> tuple[int, str]:
    """A class of these students, and the path of its invitation's tokens."""
    async with client(site.replica.url, token("root", "admin")) as api:
        class_id = (await create_class(api))["id"]
        rows = [{"user_id": user} for user in users]
        assert (await api.post(f"/classes/{class_id}/students", json=rows)).status_code == 201
        rotated = await api.post(f"/classes/{class_id}/invite/rotate", params={"own_tokens": True})
        assert rotated.status_code == 201, rotated.text
        return class_id, f"/api/v1/join/{rotated.json()['code']}/token"


async def tokens_of(site: Site, class_id: int) -> dict[str, bool]:
    """Whether each student's token is only claimed."""
    async with client(site.replica.url, token("root", "admin")) as api:
        rows = (await api.get("/student-tokens", params={"class_id": class_id})).json()
    return {each["user_id"]: each["claimed"] for each in rows}


async def test_who_enters_another_id_gets_no_address_of_who_is_signed_in(site: Site) -> None:
    """At a computer that several share."""
    hanako, taro = unique("hanako"), unique("taro")
    class_id, path = await invitation(site, hanako, taro)
    site.provider.claims |= {"sub": hanako, "role": "student"}
    async with browser(site.replica.url) as page:
        await sign_in(page)
        refused = await page.post(path, json={"user_id": taro})
        assert refused.status_code == 409, refused.text
        assert f"{hanako} is signed in" in refused.json()["detail"]
        assert await tokens_of(site, class_id) == {}
        for body in ({}, {"user_id": None}, {"user_id": hanako}):
            assert (await page.post(path, json=body)).status_code == 201
        assert await tokens_of(site, class_id) == {hanako: False}
        await page.post("/logout")
        assert (await page.post(path, json={"user_id": taro})).status_code == 201
        assert await tokens_of(site, class_id) == {hanako: False, taro: True}


async def test_a_teacher_who_is_signed_in_gets_an_address_like_anybody(site: Site) -> None:
    hanako = unique("hanako")
    class_id, path = await invitation(site, hanako)
    async with browser(site.replica.url) as page:
        await sign_in(page)
        assert (await page.post(path, json={})).status_code == 422
        assert (await page.post(path, json={"user_id": hanako})).status_code == 201
        assert await tokens_of(site, class_id) == {hanako: True}
        assert (await page.post(path, json={"user_id": hanako})).status_code == 409
