"""The help queue."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import serious_violations, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_assignment, create_class_of
from tests.support.replicas import Replica


async def test_two_teachers_share_a_request(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    url = view_url(school, class_id, "help")
    async with open_tab(browser, url) as one, open_tab(browser, url) as two:
        await wait_live(one)
        await wait_live(two)
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
        await post_as(school, user, "help")
        for page, name in ((one, "Sato"), (two, "Suzuki")):
            await page.get_by_label("Your name").fill(name)
            await expect(page.locator(".queue .card")).to_contain_text("KeyError: 'x'")
            await expect(page.locator("nav .badge")).to_have_text("1")
        await one.get_by_role("button", name="Take it").click()
        await expect(two.locator(".queue .card")).to_contain_text("Sato is helping")
        await expect(two.get_by_role("button", name="Take it")).to_be_hidden()
        await one.get_by_role("button", name="Mark resolved").click()
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(0)
        await post_as(school, user, "help")
        await post_as(school, user, "cell_executed", cellIndex=8)
        await post_as(school, user, "help_stop")
        await post_as(school, user, "help")
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(1)


async def test_request_and_assignment_are_handled_by_keyboard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await create_assignment(api, class_id=class_id, title="gone")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await page.get_by_label("Your name").focus()
        await page.keyboard.type("Sato")
        await page.get_by_role("button", name="Take it").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue")).to_contain_text("Sato is helping")
        await expect(page.get_by_role("button", name="Mark resolved")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue .card")).to_have_count(0)
        await expect(page.locator("#view")).to_be_focused()
        await page.goto(view_url(school, class_id, "manage"))
        await page.get_by_label("Edit “gone”").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Delete the assignment").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        assert await serious_violations(page) == []
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".assignments .card")).to_have_count(0)
