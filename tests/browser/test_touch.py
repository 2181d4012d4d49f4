"""A phone in the aisle, touched as by a thumb."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import seat, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post_as
from tests.support.lms import create, create_class_of, unique
from tests.support.replicas import Replica

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}
LEAST = 48  # px of what is touched, in height and width
COUNT_TOUCHES = """
    window.touches = 0;
    addEventListener("touchstart", () => { window.touches += 1; }, { capture: true });
    localStorage.setItem("name", "Sato");
"""
# What can have the focus and is smaller; a box is touched by its label, and what only scrolls is
# not touched.
SMALL = """(least) => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex]:not(pre, [tabindex='-1'])",
  )]
  .filter((each) => each.checkVisibility({visibilityProperty: true}) && !each.disabled)
  .filter((each) => !each.closest(".skip"))
  .map((each) => each.type === "checkbox" ? each.closest("label") ?? each : each)
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, {width, height}]) => Math.min(width, height) < least - 0.5)
  .map(([each, {width, height}]) =>
    `${each.tagName}.${each.className} ${each.textContent} ${width}×${height}`)"""


async def small(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(SMALL, LEAST)
    return found


async def test_a_call_is_settled_in_three_touches(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "cell_executed", code="x = 1", hasError=True, errorMessage="E: x")
    await post_as(school, user, "help")
    async with open_tab(browser, school.url, **PHONE) as page:
        await page.add_init_script(COUNT_TOUCHES)
        await page.goto(view_url(school, class_id, "lesson"))
        await page.reload()  # from an address that differs only behind #
        await wait_live(page)
        take = page.get_by_role("button", name="Take it")
        await expect(take).to_be_in_viewport()
        await page.locator(".queue").get_by_role("link", name=user).tap()
        await expect(page.locator(".rail .runs")).to_contain_text("x = 1")
        await take.tap()
        await page.get_by_role("button", name="Mark settled").tap()
        await expect(page.locator(".undo")).to_contain_text(f"Settled: {user}")
        assert await page.evaluate("window.touches") == 3
    assert (await api.get(f"/classes/{class_id}/help")).json() == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
async def test_all_that_is_touched_is_large(
    school: Replica, api: httpx.AsyncClient, browser: Browser, locale: str
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{n}" for n in range(5)))
    rows = [{"user_id": user, "team": f"T{n % 2}"} for n, user in enumerate(users)]
    await api.post(f"/classes/{class_id}/students", json=rows)
    await api.put(f"/classes/{class_id}", json={"join_policy": "approve"})
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    async with httpx.AsyncClient(params={"key": key["key"]}) as extension:
        events = [event(userId=unique("waits"))]
        (await extension.post(school.events_url, json=events)).raise_for_status()
    for user in users[:3]:
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    for user in users[1:3]:
        await post_as(school, user, "help")
    async with open_tab(browser, school.url, locale=locale, **PHONE) as page:
        await page.add_init_script(COUNT_TOUCHES)
        await page.goto(view_url(school, class_id, "lesson"))
        await page.reload()
        await wait_live(page)
        await expect(page.locator(".queue .call")).to_have_count(2)
        await expect(page.locator(".newcomers").first).to_be_visible()
        await expect(page.locator(".duty .parts")).to_be_visible()
        assert await small(page) == []
        await page.locator(".queue summary").first.tap()
        await page.locator(".newcomers summary").first.tap()
        assert await small(page) == []
        calls, seats, progress = (page.locator(".panes button").nth(n) for n in range(3))
        await seats.tap()
        await expect(page.locator(".seats .seat a")).to_have_count(len(users))
        assert await small(page) == []
        await progress.tap()
        await expect(page.locator(".top-errors")).to_be_visible()
        assert await small(page) == []
        await seats.tap()
        await seat(page, users[0]).locator("a").tap()
        await expect(page.locator(".rail .runs .card")).to_have_count(1)
        assert await small(page) == []
        await calls.tap()
        await page.locator(".menu").tap()
        assert await small(page) == []
        await page.locator(".menu").tap()
        await page.locator(".queue button.take").first.tap()
        await expect(page.locator(".undo")).to_be_visible()
        assert await small(page) == []
