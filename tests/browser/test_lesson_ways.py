"""The ways through a lesson: to a student and back, from call to call, on a phone, too."""

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.page import seat, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

PHONE = ViewportSize(width=360, height=740)
ZOOMED = ViewportSize(width=640, height=360)  # 1280 by 720 at 200 %


def heading(page: Page) -> Locator:
    """The name of the student beside the seats."""
    return page.locator(".rail-student .view > h2")


async def go_back(page: Page, way: str) -> None:
    if way == "Escape":
        await page.keyboard.press("Escape")
    else:
        await page.get_by_role("button", name="Back to the seats").click()
    await expect(page.locator(".rail-student")).to_be_hidden()


@pytest.mark.parametrize("way", ["Escape", "Back to the seats"])
async def test_back_from_a_student_is_to_the_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser, way: str
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three")
    student = view_url(school, class_id, f"student/{ids[0]}")
    lesson = view_url(school, class_id, "lesson")
    async with open_tab(browser, student) as page:  # out of a mail
        await expect(heading(page)).to_have_text(users[0])
        await seat(page, users[1]).locator("a").click()
        await expect(heading(page)).to_have_text(users[1])
        await go_back(page, way)
        await expect(page).to_have_url(lesson)


async def test_a_second_escape_stays_in_the_lesson(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    async with open_tab(browser, view_url(school, class_id, "students")) as page:
        await page.get_by_role("link", name="Lesson").click()
        await seat(page, users[0]).locator("a").click()
        await seat(page, users[1]).locator("a").click()
        await expect(heading(page)).to_have_text(users[1])
        twice = """() => {
          const press = () => document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
          press();
          press();
        }"""
        await page.evaluate(twice)
        await expect(page.locator(".rail-student")).to_be_hidden()
        await expect(page).to_have_url(view_url(school, class_id, "lesson"))
        await page.wait_for_timeout(300)
        await expect(page).to_have_url(view_url(school, class_id, "lesson"))


async def test_a_filter_lasts_while_students_are_opened(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three", "four")
    for user in users[:2]:
        await post_as(school, user, "cell_executed", hasError=True)
    await post_as(school, users[2], "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        dimmed = page.locator(".seat.is-dimmed")
        await page.get_by_role("button", name="Error 2").click()
        await expect(dimmed).to_have_count(2)
        for user, student in zip(users[:2], ids, strict=False):
            await seat(page, user).locator("a").click()
            await expect(heading(page)).to_have_text(user)
            await expect(page).to_have_url(
                view_url(school, class_id, f"student/{student}?state=error")
            )
            await expect(dimmed).to_have_count(2)
        await page.get_by_role("button", name="Working 1").click()
        await expect(dimmed).to_have_count(3)
        await seat(page, users[2]).locator("a").click()
        await expect(heading(page)).to_have_text(users[2])
        await expect(dimmed).to_have_count(3)
        await page.keyboard.press("Escape")
        await expect(page).to_have_url(view_url(school, class_id, "lesson?state=active"))
        await expect(dimmed).to_have_count(3)
        await page.get_by_role("button", name="Show everyone").click()
        await expect(dimmed).to_have_count(0)


async def test_a_seat_s_link_keeps_the_filter_in_another_tab(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two")
    await post_as(school, users[0], "cell_executed", hasError=True)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        link = seat(page, users[0]).locator("a")
        await page.get_by_role("button", name="Error 1").click()
        student = f"#/class/{class_id}/student/{ids[0]}"
        await expect(link).to_have_attribute("href", f"{student}?state=error")
        async with page.context.expect_page() as opened:
            await link.click(modifiers=["ControlOrMeta"])
        other = await opened.value
        await expect(heading(other)).to_have_text(users[0])
        await expect(other.locator(".seat.is-dimmed")).to_have_count(1)
        await expect(page.locator(".rail-student")).to_be_hidden()
        await page.get_by_role("button", name="Show everyone").click()
        await expect(link).to_have_attribute("href", student)


async def test_the_keyboard_goes_from_call_to_call(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.locator(".queue .call").first.get_by_role("link").press("Enter")
        await expect(heading(page)).to_have_text(users[0])
        await expect(heading(page)).to_be_focused()
        await page.get_by_role("button", name="Next call").press("Enter")
        await expect(heading(page)).to_have_text(users[1])
        await expect(heading(page)).to_be_focused()
        await page.keyboard.press("n")
        await expect(heading(page)).to_have_text(users[2])
        await expect(heading(page)).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(seat(page, users[2]).locator("a")).to_be_focused()
        await page.keyboard.press("Enter")  # on a seat the arrow keys go on
        await expect(heading(page)).to_have_text(users[2])
        await expect(seat(page, users[2]).locator("a")).to_be_focused()


async def test_the_focus_stays_where_next_call_disappears(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two")
    await post_as(school, users[1], "help")
    async with open_tab(browser, view_url(school, class_id, f"student/{ids[0]}")) as page:
        await wait_live(page)
        await page.get_by_role("button", name="Next call").focus()
        await post_as(school, users[1], "help_stop")
        await expect(page.get_by_role("button", name="Next call")).to_be_hidden()
        await expect(heading(page)).to_be_focused()


async def test_on_a_phone_the_focus_comes_back_to_the_call(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.set_viewport_size(PHONE)
        await wait_live(page)
        name = page.locator(".queue .call h2").get_by_role("link", name=users[1])
        await name.press("Enter")
        await expect(heading(page)).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(name).to_be_focused()


async def test_list_seats_and_next_call_have_one_order(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "theirs", "mine")
    rows = [{"user_id": user, "team": team} for user, team in zip(users, "AB", strict=True)]
    await api.post(f"/classes/{class_id}/students", json=rows)

    async def share(**teams: str) -> None:
        for name, team in teams.items():
            duty = {"name": name, "teams": [team]}
            (await api.put(f"/classes/{class_id}/duties", json=duty)).raise_for_status()

    await share(Sato="B", Suzuki="A")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.evaluate("localStorage.setItem('name', 'Sato')")
        await page.reload()
        await wait_live(page)
        cards = page.locator(".queue .call")
        for first, second in (users[::-1], users):
            await expect(cards.first).to_contain_text(first)
            await expect(cards.last).to_contain_text(second)
            await expect(seat(page, first)).to_contain_text("①")
            await expect(seat(page, second)).to_contain_text("②")
            await expect(page.locator("nav .badge")).to_have_text("1")
            await expect(page.locator(".panes button").first).to_have_text("Calls 1")
            await expect(page).to_have_title("(1) 数学 — Cell Monitor")
            await page.keyboard.press("n")
            await expect(heading(page)).to_have_text(first)
            await page.keyboard.press("Escape")
            await expect(cards.first).to_be_visible()
            await share(Sato="A", Suzuki="B")


async def test_what_was_done_is_undone_from_wherever_one_has_gone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        undo = page.get_by_role("button", name="Undo")
        beside = page.locator(".rail-student .queue .call")
        await seat(page, users[0]).locator("a").click()
        await page.get_by_label("Your name").fill("Sato")
        await page.get_by_role("button", name="Take it").click()
        await page.get_by_role("button", name="Mark settled").click()
        await page.get_by_role("button", name="Next call").click()
        await expect(beside).to_contain_text(users[1])
        await expect(page.locator(".undo")).to_contain_text(f"Settled: {users[0]}")
        await page.keyboard.press("Escape")
        await expect(page.get_by_label("Your name")).to_have_value("Sato")
        await undo.click()
        await expect(seat(page, users[0])).to_contain_text("Being helped")
        await page.get_by_role("button", name="Take it").click()
        await page.locator(".queue .call h2").get_by_role("link", name=users[1]).click()
        await expect(beside).to_contain_text("You are with them")
        await undo.click()
        await expect(beside.get_by_role("button", name="Take it")).to_be_visible()


async def low_buttons(page: Page) -> list[str]:
    """What can be pressed in the lesson and is less than 48 px high."""
    low: list[str] = await page.evaluate("""() =>
      [...document.querySelectorAll(".lesson :is(button, select, .lesson-tools a, .seat a)")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 48)
        .map((each) => each.textContent)""")
    return low


@pytest.mark.parametrize("size", [PHONE, ZOOMED])
async def test_a_phone_lacks_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser, size: ViewportSize
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three")
    seats = [{"student_id": each, "row": 1, "column": n} for n, each in enumerate(ids, start=1)]
    room = {"rows": 1, "columns": 3, "aisles": [], "seats": seats}
    (await api.put(f"/classes/{class_id}/room", json=room)).raise_for_status()
    for user in users[:2]:
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    for user in users[1:]:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.evaluate("localStorage.setItem('name', 'Sato')")
        await page.set_viewport_size(size)
        await page.reload()
        await wait_live(page)
        calls, seats_tab, progress = (
            page.locator(".panes").get_by_role("button", name=name)
            for name in ("Calls", "Seats", "Progress")
        )
        await page.locator(".queue .call h2").get_by_role("link", name=users[1]).click()
        await expect(heading(page)).to_have_text(users[1])
        await expect(page.locator(".panes [aria-current]")).to_have_count(0)
        assert await low_buttons(page) == []
        await seats_tab.click()
        await expect(seats_tab).to_have_attribute("aria-current", "true")
        await expect(page.locator(".seat:has([aria-current])")).to_contain_text(users[1])
        await expect(page.locator(".seat [aria-current]")).to_be_in_viewport()
        await expect(heading(page)).to_be_hidden()
        assert await low_buttons(page) == []
        await seat(page, users[0]).locator("a").click()
        await expect(heading(page)).to_have_text(users[0])
        await page.get_by_role("button", name="Back to the seats").click()
        await expect(seat(page, users[0]).locator("a")).to_be_focused()
        await calls.click()
        await page.locator(".queue .call h2").get_by_role("link", name=users[1]).click()
        await page.get_by_role("button", name="Back to the calls").click()
        await expect(calls).to_have_attribute("aria-current", "true")
        await page.get_by_role("button", name="Take it").first.click()
        await seats_tab.click()
        await expect(page.get_by_role("button", name="Undo")).to_be_in_viewport()
        await progress.click()
        for name in ("Arrange seats", "Seen from the desk", "Projector"):
            await expect(page.get_by_role("button", name=name)).to_be_visible()
        await expect(page.get_by_role("link", name="List", exact=True)).to_be_visible()
        assert await low_buttons(page) == []
        assert await violations(page) == []
        await page.get_by_role("link", name="Show on seats").click()
        await expect(seats_tab).to_have_attribute("aria-current", "true")
        await expect(page.locator(".seat.is-dimmed")).to_have_count(1)
