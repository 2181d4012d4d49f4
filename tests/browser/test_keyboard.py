"""A whole lesson by keys alone: no mouse, no script that gives the focus."""

import httpx
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.page import seat, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

STEPS = 80  # presses of Tab that lead anywhere on the page, at most


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def tab_to(page: Page, control: Locator, key: str = "Tab") -> None:
    """Presses Tab until the control has the focus."""
    await expect(control).to_be_visible()
    for _ in range(STEPS):
        if await control.evaluate("(each) => each === document.activeElement"):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{key} doesn't lead to {control}")


async def test_a_whole_lesson_by_keys(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(8)))
    name = f"keys {class_id}"
    (await api.put(f"/classes/{class_id}", json={"name": name})).raise_for_status()
    seats = [
        {"student_id": each, "row": 1 + index // 4, "column": 1 + index % 4}
        for index, each in enumerate(ids)
    ]
    room = {"rows": 2, "columns": 5, "aisles": [], "seats": seats}
    (await api.put(f"/classes/{class_id}/room", json=room)).raise_for_status()
    first, second = users[2], users[5]
    for user in (first, second):
        await post_as(school, user, "cell_executed", code=f"of_{user}", hasError=True)
        await post_as(school, user, "help")
    await post_as(school, users[0], "cell_executed", hasError=True)
    async with open_tab(browser, f"{school.url}/#/classes") as page:
        heading = page.locator(".rail-student .view > h2")
        await tab_to(page, page.locator("#view").get_by_role("link", name=name))
        await press(page, "Enter")
        await wait_live(page)
        await expect(page.locator(".queue .call")).to_have_count(2)

        # From a call to its student's code, and to settled.
        await press(page, "n")
        await expect(page.locator(".rail .runs")).to_contain_text(f"of_{first}")
        await press(page, "t")
        await expect(page.get_by_label("Your name")).to_be_focused()
        await page.keyboard.type("Sato")
        await press(page, "Tab", "t")
        await expect(page.locator(".rail-student")).to_contain_text("You are with them")
        await tab_to(page, page.get_by_role("button", name="Mark settled"))
        await press(page, "Enter")
        await expect(page.locator(".undo")).to_contain_text(f"Settled: {first}")
        await post_as(school, second, "help")  # the call goes on
        await press(page, "n")
        await expect(page.locator(".rail .runs")).to_contain_text(f"of_{second}")

        # Back, and from seat to seat.
        await press(page, "Escape")
        await expect(seat(page, second).locator("a")).to_be_focused()
        await press(page, "ArrowUp", "ArrowLeft", "Enter")
        await expect(heading).to_have_text(users[0])
        await press(page, "Escape", "?")
        await expect(page.get_by_role("dialog")).to_contain_text("Next call")
        await press(page, "Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)

        # Filters.
        await post_as(school, second, "help")
        await tab_to(page, page.get_by_role("button", name="Calling 1"), "Shift+Tab")
        await press(page, "Enter")
        await expect(page.locator(".seat.is-dimmed")).to_have_count(7)
        await tab_to(page, page.locator('.seats a[tabindex="0"]'))
        await expect(seat(page, second).locator("a")).to_be_focused()
        await tab_to(page, page.get_by_role("button", name="Show everyone"), "Shift+Tab")
        await press(page, "Enter")
        await expect(page.locator(".seat.is-dimmed")).to_have_count(0)

        # The projector, on and off.
        await press(page, "p")
        await expect(page.locator(".projector")).to_be_visible()
        await expect(page.locator("#view")).to_be_hidden()
        again = page.get_by_role("button", name="Show names again")
        await tab_to(page, again)
        await press(page, "Enter")
        await tab_to(page, page.get_by_role("dialog").locator(again))
        await press(page, "Enter")
        await expect(page.locator(".projector")).to_have_count(0)

        # Somebody gets another seat.
        await tab_to(page, page.get_by_role("button", name="Arrange seats"))
        await press(page, "Enter")
        dialog = page.get_by_role("dialog")
        await tab_to(page, dialog.get_by_role("button", name=f"A1 {users[0]}"))
        await press(page, "Enter", *4 * ["ArrowRight"], "Enter")
        await expect(dialog.get_by_role("button", name=f"A5 {users[0]}")).to_be_focused()
        await tab_to(page, dialog.get_by_role("button", name="Save"), "Shift+Tab")
        await press(page, "Enter")
        await expect(dialog).to_have_count(0)
        await expect(seat(page, users[0]).locator("a")).to_have_attribute(
            "title", f"{users[0]} · A5"
        )
        await expect(page.get_by_role("button", name="Arrange seats")).to_be_focused()
