"""The errors of the last minutes."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica


async def test_common_error_is_announced_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three", "four")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        failed = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
        await post(school, *(event(userId=user, **failed) for user in users[:3]))
        headline = "3 of 4 students: KeyError: … in lesson.ipynb, cell 7"
        await expect(page.locator(".toast")).to_contain_text(headline)
        await expect(page.locator(".radar .card h2")).to_have_text(headline)
        await page.locator(".toast").get_by_role("button", name="Close").click()
        await post_as(school, users[3], "cell_executed", **failed)
        await expect(page.locator(".radar .card h2")).to_contain_text("4 of 4")
        await expect(page.locator(".toast")).to_have_count(0)


async def test_focus_survives_new_errors(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    failed = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
    await post_as(school, users[0], "cell_executed", **failed)
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await page.locator(".radar summary").focus()
        await page.keyboard.press("Enter")
        await post_as(school, users[1], "cell_executed", **failed)
        await expect(page.locator(".radar h2")).to_contain_text("2 of 2")
        await expect(page.locator(".radar summary")).to_be_focused()
        await expect(page.locator(".radar pre").last).to_be_visible()
