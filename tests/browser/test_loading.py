"""How the page loads: files, language, token, a first start, the address."""

import re

import httpx
import pytest
from playwright.async_api import Browser, expect

from monitor.app import create_app
from monitor.insight.class_state import HELP_TIMEOUT, ClassStateQuery
from monitor.settings import Settings
from tests.browser.page import view_url, wait_live
from tests.support.browser import open_tab
from tests.support.lms import create, create_class_of
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token


@pytest.mark.parametrize("prefix", ["/api/v1", "/other"])
async def test_loads_nothing_from_elsewhere(prefix: str) -> None:
    transport = httpx.ASGITransport(create_app(Settings(api_v1_str=prefix), {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/")
        assert f'name="api" content="{prefix[1:]}"' in page.text
        idle_seconds = ClassStateQuery().idle_after
        assert f'name="idle-seconds" content="{idle_seconds}"' in page.text
        assert f'name="help-seconds" content="{HELP_TIMEOUT.seconds}"' in page.text
        assert re.findall(r"https?:|<style|style=|\son\w+=", page.text) == []
        assert re.findall(r"<script[^>]*>([^<]*)</script>", page.text) == [""]
        files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        for name in (*files, "page/Chart.bundle.js"):
            file = await client.get(f"/{name}")
            assert file.status_code == 200
            policy = file.headers["Content-Security-Policy"]
            assert policy == page.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            kept = {"If-None-Match": file.headers["ETag"]}
            assert (await client.get(f"/{name}", headers=kept)).status_code == 304


@pytest.mark.parametrize(
    ("context", "query", "words"),
    [
        ({"locale": "ja-JP"}, "", ["授業", "呼び出し", "エラー", "操作なし"]),
        ({"locale": "en-US"}, "", ["Lesson", "Calling", "Errors", "Idle"]),
        ({"locale": "en-US"}, "?lang=ja", ["授業", "呼び出し", "エラー", "操作なし"]),
    ],
)
async def test_language_follows_browser_and_address(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    context: dict[str, str],
    query: str,
    words: list[str],
) -> None:
    class_id, _, _ = await create_class_of(api, "花子")
    async with open_tab(browser, view_url(school, class_id, query=query), **context) as page:
        await wait_live(page)
        for word in words:
            await expect(page.locator("body")).to_contain_text(word)


async def test_asks_for_a_token_until_one_is_valid(
    environment: dict[str, str], browser: Browser
) -> None:
    secret = {"JWT_SECRET": SECRET}
    with Replica(environment | secret) as guarded:
        root = token("root", "admin")
        async with client(guarded.url, root) as api:
            class_id = (await create(api, "/classes", name="数学", class_code="M1"))["id"]
        async with open_tab(browser, view_url(guarded, class_id)) as page:
            dialog = page.get_by_role("dialog")
            await dialog.get_by_label("Your token").fill("no token")
            await dialog.get_by_role("button").click()
            await dialog.get_by_label("Your token").fill(root)
            await dialog.get_by_role("button").click()
            await wait_live(page)
            await expect(dialog).to_have_count(0)


async def test_first_start_says_what_to_do(replica: Replica, browser: Browser) -> None:
    async with open_tab(browser, replica.url) as page:
        await expect(page.locator("#view")).to_contain_text("Create your first class")
        await expect(page.locator("#view")).to_contain_text("make demo")
        await page.get_by_label("Name").fill("数学")
        await page.get_by_role("button", name="Create").click()
        await expect(page.locator("header select")).to_contain_text("数学")
        await expect(page).to_have_url(f"{replica.url}/#/class/1")


async def test_only_the_last_of_two_navigations_counts(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        # The first one fetches the classes, to choose one; the second one needs no fetch.
        await page.evaluate(
            f"location.hash = '#/'; setTimeout(() => location.hash = '#/class/{class_id}/help')"
        )
        await page.wait_for_load_state("networkidle")
        await page.wait_for_timeout(300)
        await expect(page).to_have_url(view_url(school, class_id, "help"))
        await expect(page.get_by_label("Your name")).to_be_visible()


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
async def test_colours_follow_the_system_until_they_are_chosen(
    school: Replica, api: httpx.AsyncClient, browser: Browser, scheme: str, other: str
) -> None:
    colours = {"light": "rgb(244, 246, 250)", "dark": "rgb(18, 22, 31)"}
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id), color_scheme=scheme) as page:
        body = page.locator("body")
        await expect(body).to_have_css("background-color", colours[scheme])
        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("button", name="Light / dark").click()
        await expect(body).to_have_css("background-color", colours[other])
        await page.reload()
        await expect(body).to_have_css("background-color", colours[other])
