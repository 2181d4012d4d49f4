"""What was sent with a class's key: shown, withdrawn, restored."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import HOSTILE, tile, view_url, violations
from tests.support.browser import open_tab
from tests.support.events import event, post
from tests.support.lms import create, create_class, unique
from tests.support.replicas import Replica


async def class_with_events(api: httpx.AsyncClient, school: Replica) -> tuple[int, str]:
    """A class with a key, and the id of a student whose three events were sent with it."""
    class_id = (await create_class(api))["id"]
    key = await create(api, "/ingest-keys", name="Monday", class_id=class_id)
    user = unique("hanako")
    kinds: list[dict[str, Any]] = [
        {"hasError": True, "errorMessage": "NameError: x"},
        {},
        {"eventType": "help"},
    ]
    events = [event(userId=user, notebookPath=HOSTILE, **fields) for fields in kinds]
    answer = await post(school, *events, params={"key": key["key"]})
    assert answer.json()["stored"] == 3, answer.text
    return class_id, user


async def test_a_key_s_events_are_shown_withdrawn_and_restored(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, user = await class_with_events(api, school)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        keys = page.get_by_role("region", name="Events by key")
        await keys.get_by_role("button", name="Events sent with Monday").click()
        events = page.get_by_role("region", name="Events sent with Monday")
        await expect(events.get_by_role("row")).to_have_count(1 + 1 + 3)
        await expect(events).to_contain_text(user)
        await expect(events).to_contain_text(HOSTILE)
        await expect(events).to_contain_text("cell_executed · error")
        form = page.locator(".key-events")
        await form.get_by_label("Student").select_option(user)
        await form.get_by_role("button", name="Withdraw…").click()
        await expect(page.get_by_role("dialog")).to_contain_text(f"to now ({user})")
        await page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
        withdrawals = page.get_by_role("region", name="Withdrawals")
        await expect(withdrawals).to_contain_text("3 events withdrawn")
        await form.get_by_role("button", name="Show", exact=True).click()
        await expect(events).to_contain_text("no: withdrawn")
        await withdrawals.get_by_role("button", name="Restore").click()
        await page.get_by_role("dialog").get_by_role("button", name="Restore").click()
        await expect(withdrawals).to_contain_text("restored")
        await form.get_by_role("button", name="Show", exact=True).click()
        await expect(events).not_to_contain_text("no: withdrawn")
        assert await violations(page) == []
        await page.goto(view_url(school, class_id))
        await expect(tile(page, user)).to_contain_text("2 runs")


async def test_a_key_is_revoked(school: Replica, api: httpx.AsyncClient, browser: Browser) -> None:
    class_id, _ = await class_with_events(api, school)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_role("button", name="Revoke the key Monday").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        keys = page.get_by_role("region", name="Events by key")
        await expect(keys).to_contain_text("ended")
        await expect(keys.get_by_role("button", name="Revoke")).to_have_count(0)


@pytest.mark.parametrize("language", ["ja-JP", "en-US"])
async def test_the_keys_fit_a_phone(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str
) -> None:
    class_id, user = await class_with_events(api, school)
    url = view_url(school, class_id, "manage")
    async with open_tab(browser, url, locale=language, color_scheme="dark") as page:
        await page.set_viewport_size({"width": 360, "height": 740})
        name = "で受信した内容" if language == "ja-JP" else "Events sent with Monday"
        await page.get_by_role("button", name=name).click()
        await expect(page.locator(".key-events tbody")).to_contain_text(user)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await violations(page) == []
