"""Signing in at an OpenID Connect provider, as a teacher's browser does it."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import seat, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.lms import create_class_of
from tests.support.openid import OpenIdProvider, run_openid
from tests.support.replicas import RUN_CHECKING_OFTEN, Replica
from tests.support.roster import connected
from tests.support.tokens import SECRET, client, token
from tests.support.waiting import eventually

CHECKED = 60_000  # ms within which an open socket learns that its login has ended

# What the header has said of the connection so far.
WATCH = """
window.states = []
new MutationObserver(changes => {
  for (const { target } of changes) window.states.push(target.dataset.state)
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-state"] })
"""


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with run_openid() as provider:
        yield provider


@pytest.fixture
def replica(environment: dict[str, str], provider: OpenIdProvider) -> Iterator[Replica]:
    settings = environment | provider.settings | {"JWT_SECRET": SECRET}
    with Replica(settings, command=RUN_CHECKING_OFTEN) as replica:
        yield replica


async def class_of_sensei(replica: Replica) -> int:
    """One with a student who has worked."""
    async with client(replica.url, token("sensei", "instructor")) as api:
        made = await api.post("/classes", json={"name": "1-A", "class_code": "1A"})
        class_id: int = made.json()["id"]
        key = (await api.post("/ingest-keys", json={"name": "x", "class_id": class_id})).json()
    async with client(replica.url, None) as extension:
        done = await extension.post(
            "/events", params={"key": key["key"]}, json=[event(userId="hanako")]
        )
        assert done.json()["stored"] == 1
    return class_id


async def sign_in(page: Page) -> None:
    await page.get_by_role("dialog").get_by_role("link", name="Sign in").click()


async def end_login(page: Page, replica: Replica) -> None:
    """Signs out, as another tab would that has a page of its own."""
    cookies = {each["name"]: each["value"] for each in await page.context.cookies()}
    headers = {"X-Cell-Monitor": "page", "Origin": replica.url}
    async with httpx.AsyncClient(base_url=replica.url, cookies=cookies, headers=headers) as tab:
        assert (await tab.post("/logout")).status_code == 200


async def test_a_teacher_signs_in_sees_tiles_and_comes_back_after_the_login_has_ended(
    replica: Replica, browser: Browser
) -> None:
    class_id = await class_of_sensei(replica)
    async with open_tab(browser, "about:blank") as page:
        await page.add_init_script(WATCH)
        await page.goto(view_url(replica, class_id, "help"))
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        assert await violations(page) == []
        await sign_in(page)
        await expect(page).to_have_url(view_url(replica, class_id, "help"))
        await page.goto(view_url(replica, class_id, "lesson"))
        await expect(seat(page, "hanako")).to_be_visible()
        await page.get_by_role("button", name="Menu").click()
        await expect(page.get_by_text("Signed in as 鈴木先生")).to_be_visible()
        await wait_live(page)
        await end_login(page, replica)
        ended = page.get_by_role("dialog", name="Your login has ended")
        await expect(ended).to_be_visible(timeout=CHECKED)
        status = page.locator(".connection")
        await expect(status).to_have_attribute("data-state", "ended", timeout=CHECKED)
        assert "lost" not in await page.evaluate("window.states")
        assert await violations(page) == []
        await sign_in(page)
        await expect(seat(page, "hanako")).to_be_visible()
        await expect(page).to_have_url(view_url(replica, class_id, "lesson"))
        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


async def test_a_page_that_was_away_says_that_the_login_has_ended(
    replica: Replica, browser: Browser
) -> None:
    """A laptop that was closed: its socket is gone, and a new one is refused."""
    class_id = await class_of_sensei(replica)
    async with open_tab(browser, view_url(replica, class_id)) as page:
        await sign_in(page)
        await wait_live(page)
        await page.context.set_offline(True)
        await expect(page.locator(".connection")).to_have_attribute(
            "data-state", "lost", timeout=CHECKED
        )
        await end_login(page, replica)
        await page.context.set_offline(False)
        await expect(page.get_by_role("dialog", name="Your login has ended")).to_be_visible(
            timeout=CHECKED
        )
        await expect(page.locator(".connection")).to_have_attribute("data-state", "ended")


async def test_why_a_sign_in_failed_is_said(
    replica: Replica, provider: OpenIdProvider, browser: Browser
) -> None:
    provider.claims |= {"role": "janitor"}
    async with open_tab(browser, f"{replica.url}/?lang=ja", locale="ja-JP") as page:
        await page.get_by_role("dialog").get_by_role("link", name="ログイン").click()
        await expect(page.get_by_role("dialog")).to_contain_text("利用権限がありません")
        await expect(page).to_have_url(f"{replica.url}/")
        provider.claims |= {"role": "instructor"}
        await page.get_by_role("dialog").get_by_role("link", name="ログイン").click()
        await expect(page.get_by_role("heading", name="最初のクラスを作る")).to_be_visible()
        await page.get_by_role("button", name="メニュー").click()
        await expect(page.get_by_text("鈴木先生（ログイン中）")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "texts"),
    [
        (
            "en-US",
            {
                "line": "Signed in as 花子 ({id})",
                "field": "Your ID",
                "get": "Get my address",
                "other": "isn't the ID of the person who is signed in",
                "out": "Sign out",
                "address": "Address for the extension",
            },
        ),
        (
            "ja-JP",
            {
                "line": "花子 ({id})（ログイン中）",
                "field": "学籍番号",
                "get": "アドレスを受け取る",
                "other": "ログインしている人の学籍番号ではありません",
                "out": "ログアウト",
                "address": "拡張機能に設定するアドレス",
            },
        ),
    ],
)
async def test_the_join_page_says_who_is_signed_in(
    replica: Replica,
    provider: OpenIdProvider,
    browser: Browser,
    locale: str,
    texts: dict[str, str],
) -> None:
    """At a computer that several share: the one before has not signed out."""
    async with client(replica.url, token("root", "admin")) as api:
        class_id, (hanako, taro), _ = await create_class_of(api, "hanako", "taro")
        rotated = await api.post(f"/classes/{class_id}/invite/rotate", params={"own_tokens": True})
        url = rotated.json()["url"]
    provider.claims = {"sub": hanako, "name": "花子", "role": "student"}
    async with open_tab(browser, url, locale=locale) as page:
        line = page.locator(".signed-in")
        field = page.get_by_label(texts["field"])
        await expect(line).to_be_hidden()
        await expect(field).to_have_attribute("required", "")
        await page.goto(f"{replica.url}/login")
        await expect(page).to_have_url(f"{replica.url}/")
        await page.goto(url)
        await expect(line).to_contain_text(texts["line"].format(id=hanako))
        await field.fill(taro)
        await page.get_by_role("button", name=texts["get"]).click()
        await expect(page.get_by_role("alert")).to_contain_text(texts["other"])
        assert await violations(page) == []
        await field.fill("")
        await page.get_by_role("button", name=texts["get"]).click()
        address = page.get_by_label(texts["address"])
        await expect(address).to_have_value(re.compile("key=cms_"))
        await page.goto(url)
        await page.get_by_role("button", name=texts["out"]).click()
        await expect(page).to_have_url(f"{replica.url}/")
        await page.goto(url)
        await expect(line).to_be_hidden()
        await field.fill(taro)
        await page.get_by_role("button", name=texts["get"]).click()
        await expect(address).to_have_value(re.compile("key=cms_"))
    assert len(provider.signed_out) == 1


async def test_that_signing_out_failed_is_said(replica: Replica, browser: Browser) -> None:
    class_id = await class_of_sensei(replica)
    async with open_tab(browser, view_url(replica, class_id)) as page:
        await sign_in(page)
        await wait_live(page)
        await page.get_by_role("button", name="Menu").click()
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator(".toast").last).to_contain_text("You are still signed in")
        await expect(page.get_by_text("Signed in as 鈴木先生")).to_be_visible()


async def test_somebody_signs_out_while_the_provider_is_away(
    replica: Replica, provider: OpenIdProvider, browser: Browser
) -> None:
    class_id = await class_of_sensei(replica)
    async with open_tab(browser, view_url(replica, class_id)) as page:
        await sign_in(page)
        await wait_live(page)
        kept = await page.context.cookies(replica.url)
        async with connected(replica) as connection:
            late = "UPDATE login_sessions SET due_at = now() - interval '1 hour'"
            await connection.execute(late)
            provider.is_down = True
            headers = {"Cookie": "; ".join(f"{each['name']}={each['value']}" for each in kept)}
            async with httpx.AsyncClient(base_url=replica.url, headers=headers) as tab:

                async def status() -> int:
                    return (await tab.get("/login/session", timeout=15)).status_code

                await eventually(status, lambda code: code == 503, within=40)
            await page.reload()
            await page.get_by_role("button", name="Menu").click()
            await page.get_by_role("button", name="Sign out").click()
            await expect(page).to_have_url(re.compile(f"^{provider.url}/end_session"))
            assert await connection.fetchval("SELECT count(*) FROM login_sessions") == 0
