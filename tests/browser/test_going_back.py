"""Esc leads back to where one was: the filters are kept, and how far it was scrolled."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.page import seat, tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

LOW = ViewportSize(width=1000, height=400)
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


async def scrolled(page: Page) -> int:
    place: int = await page.evaluate("Math.round(scrollY)")
    return place


@pytest.mark.parametrize("way", ["Escape", "Back to the list"])
async def test_from_a_student_to_the_list(
    school: Replica, api: httpx.AsyncClient, browser: Browser, way: str
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{n:02}" for n in range(40)))
    url = view_url(school, class_id, "students?search=s&sort=name")
    async with open_tab(browser, url) as page:
        await page.set_viewport_size(LOW)
        await wait_live(page)
        await expect(page.locator(".tile")).to_have_count(40)
        link = tile(page, users[35]).locator("a")
        await link.scroll_into_view_if_needed()
        place = await scrolled(page)
        assert place > 200
        await link.click()
        await expect(page.locator(".rail-student .view > h2")).to_have_text(users[35])
        await seat(page, users[1]).locator("a").click()  # no step
        await expect(page.locator(".rail-student .view > h2")).to_have_text(users[1])
        await seat(page, users[35]).locator("a").click()
        await expect(page.locator(".rail-student .view > h2")).to_have_text(users[35])
        if way == "Escape":
            await page.keyboard.press("Escape")
        else:
            await page.get_by_role("button", name=way).click()
        await expect(page).to_have_url(url)
        await expect(page.get_by_label("Sort by")).to_have_value("name")
        await expect(page.get_by_label("Search")).to_have_value("s")
        await expect(link).to_be_focused()
        await expect(link).to_be_in_viewport()
        # A notice above, such as of students in no class, may have come meanwhile.
        assert abs(await scrolled(page) - place) < LOW["height"] / 2


@pytest.mark.parametrize("name", ["List", "All errors"])
async def test_from_the_list_and_the_errors_to_the_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser, name: str
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three")
    for user in users[:2]:
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    lesson = view_url(school, class_id, "lesson?state=error")
    async with open_tab(browser, lesson) as page:
        await wait_live(page)
        await page.get_by_role("link", name=name, exact=True).click()
        away = "students" if name == "List" else "errors"
        await expect(page).to_have_url(view_url(school, class_id, away))
        for student in (0, 1):
            if name != "List":
                await page.locator("details.who summary").first.click()
            await page.locator("#view").get_by_role("link", name=users[student]).click()
            await expect(page).to_have_url(view_url(school, class_id, f"student/{ids[student]}"))
            await page.keyboard.press("Escape")
            await expect(page).to_have_url(view_url(school, class_id, away))
            await expect(page.locator(".rail")).to_have_count(0)
        await page.keyboard.press("Escape")
        await expect(page).to_have_url(lesson)
        await expect(page.locator(".seat.is-dimmed")).to_have_count(1)
        await expect(page.locator(".rail-calls")).to_be_visible()
        await page.keyboard.press("Escape")  # it leads out of no lesson
        await expect(page).to_have_url(lesson)


async def test_from_a_list_out_of_a_mail_to_the_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "one")
    async with open_tab(browser, view_url(school, class_id, "students")) as page:
        await wait_live(page)
        await page.get_by_label("Search").press("Escape")  # it is of the field
        await expect(page.locator(".tile")).to_be_visible()
        await page.locator(".tile a").focus()
        await page.keyboard.press("Escape")
        await expect(page).to_have_url(view_url(school, class_id, "lesson"))


async def test_a_phone_s_tabs_are_of_the_lesson(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    async with open_tab(browser, view_url(school, class_id, "lesson"), **PHONE) as page:
        await wait_live(page)
        calls, _, progress = (page.locator(".panes button").nth(n) for n in range(3))
        await progress.tap()
        await page.get_by_role("link", name="List", exact=True).tap()
        await tile(page, users[0]).locator("a").tap()
        await expect(page.get_by_role("button", name="Back to the list")).to_be_visible()
        await calls.tap()
        await expect(page).to_have_url(view_url(school, class_id, "lesson"))
        await expect(page.locator(".rail-calls")).to_be_visible()
        await page.go_back()
        await page.go_back()
        await expect(progress).to_have_attribute("aria-current", "true")
