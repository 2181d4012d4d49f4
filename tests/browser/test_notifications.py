"""A class's notifications on the page: receivers, tests of them, and when they are sent."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import HOSTILE, view_url, violations
from tests.support.browser import open_tab
from tests.support.lms import create_class
from tests.support.replicas import Replica


async def test_a_receiver_is_added_tested_and_deleted(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api))["id"]
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        add = page.locator("form", has_text="Add a receiver")
        await add.get_by_label("Name, such as").fill(HOSTILE)
        await add.get_by_label("Webhook or Apprise URL").fill("json://127.0.0.1:9/S3cret")
        await add.get_by_label("A key may be misused").check()
        await add.get_by_role("button", name="Add").click()
        table = page.get_by_role("region", name="Notifications")
        await expect(table).to_contain_text(HOSTILE)
        await expect(table).to_contain_text("nothing sent yet")
        await expect(table).to_contain_text("A key may be misused")
        assert "S3cret" not in await page.content()
        zone = await page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        rules = page.locator("form", has_text="When to notify")
        await expect(rules.get_by_label("Time zone")).to_have_value(zone)
        await table.get_by_role("button", name="Send a test").click()
        await expect(table).to_contain_text("the operator does not allow")  # of this server
        await rules.get_by_label("Language of the messages").select_option("ja")
        await rules.get_by_label("Quiet from").fill("22:00")
        await rules.get_by_label("Quiet until").fill("07:00")
        await rules.get_by_role("button", name="Save").click()
        await expect(page.locator("#announcer")).to_contain_text("Saved")
        saved = (await api.get(f"/classes/{class_id}/notification-rules")).json()
        assert (saved["language"], saved["quiet_from"], saved["help_minutes"]) == ("ja", "22:00", 5)
        assert await violations(page) == []
        await table.get_by_role("button", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(table).to_have_count(0)


async def test_a_url_that_is_refused_says_why(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api))["id"]
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        add = page.locator("form", has_text="Add a receiver")
        await add.get_by_label("Name, such as").fill("x")
        await add.get_by_label("Webhook or Apprise URL").fill("file:///etc/passwd")
        await add.get_by_role("button", name="Add").click()
        await expect(page.locator("#announcer")).to_contain_text("file:// is not supported")
