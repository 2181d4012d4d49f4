"""Students' own tokens: the list, and the sheet to print and cut."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from monitor.auth import student_tokens
from monitor.database.pool import Database
from tests.browser.page import HOSTILE, tile, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.lms import create_class_of
from tests.support.replicas import Replica


def row(page: Page, name: str) -> Locator:
    return page.locator("table.tokens tbody tr").filter(has_text=name)


async def leave_sheet(page: Page) -> None:
    await page.get_by_role("button", name="Back").click()
    await page.get_by_role("button", name="Leave").click()
    await expect(page.locator(".sheet")).to_have_count(0)


async def test_tokens_are_made_printed_renewed_and_revoked(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "hanako", "taro")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_role("button", name="Make and print").click()
        strips = page.locator(".strip")
        await expect(strips).to_have_count(2)
        await expect(strips.nth(0)).to_contain_text(one)
        url = await strips.nth(0).locator("code").inner_text()
        assert url.startswith(f"{school.url}/api/v1/events?key=cms_")
        await leave_sheet(page)
        async with httpx.AsyncClient() as extension:
            answer = await extension.post(url, json=[event(userId=None)])
        assert answer.json()["stored"] == 1
        await page.get_by_role("button", name="Make and print").click()
        await expect(page.locator(".toast")).to_contain_text("has an address already")
        await page.get_by_role("button", name=f"New address for {one}").click()
        await page.get_by_role("dialog").get_by_role("button", name="New address").click()
        await expect(strips).to_have_count(1)
        await leave_sheet(page)
        await expect(row(page, one)).to_have_count(2)
        await expect(row(page, one).filter(has_text="works until")).to_have_count(1)
        await page.get_by_role("button", name=f"Revoke the address of {two}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(row(page, two)).to_have_count(0)
        await page.goto(view_url(school, class_id))
        await wait_live(page)
        await expect(tile(page, one).locator(".verified")).to_be_visible()
        await expect(tile(page, two).locator(".verified")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_sheet_prints_a_strip_for_each_student(
    school: Replica, api: httpx.AsyncClient, browser: Browser, tmp_path: Path, scheme: str
) -> None:
    names = [
        "hanako",
        "山田 太郎",
        "a rather long name " * 5,
        HOSTILE,
        *("x" * n for n in range(8)),
    ]
    class_id, _, _ = await create_class_of(api, *names)
    url = view_url(school, class_id, "manage")
    async with open_tab(browser, url, color_scheme=scheme) as page:
        await page.get_by_role("button", name="Make and print").click()
        await expect(page.locator(".strip")).to_have_count(len(names))
        assert await violations(page) == []
        pdf = await page.pdf(path=tmp_path / "sheet.pdf", prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
        await page.emulate_media(media="print")
        await expect(page.locator(".sheet .bar")).to_be_hidden()
        await expect(page.locator("#top")).to_be_hidden()
        for strip in await page.locator(".strip").all():
            box = await strip.bounding_box()
            assert box
            assert box["height"] < 60 * 96 / 25.4  # of an A4 page's 277 mm


async def test_a_claimed_token_is_confirmed(
    environment: dict[str, str], database: Database, browser: Browser
) -> None:
    with Replica(environment) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
            class_id, (user,), (student,) = await create_class_of(api, "hanako")
        async with database.transaction() as connection:
            await student_tokens.claim(connection, class_id, student)
        async with open_tab(browser, view_url(replica, class_id, "manage")) as page:
            await expect(row(page, user)).to_contain_text("not confirmed")
            await page.get_by_role("button", name=f"Confirm that {user}").click()
            await expect(row(page, user)).not_to_contain_text("not confirmed")
            await expect(row(page, user).get_by_role("button", name="Confirm")).to_have_count(0)
