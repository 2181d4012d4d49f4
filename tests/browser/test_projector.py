"""What a class sees of the page, and the keys of a lesson."""

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.page import seat, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_class_of
from tests.support.replicas import Replica

NAME = "数学 — Cell Monitor"
SEATS = "() => [...document.querySelectorAll('.projector .seat strong')].map(e => e.textContent)"


def projector(page: Page) -> Locator:
    return page.locator(".projector")


async def show_names_again(page: Page) -> None:
    await page.get_by_role("button", name="Show names again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Show names again").click()


@pytest.mark.parametrize("before", ["errors", "students", "manage", ""])
async def test_going_back_from_the_projector_shows_no_names(
    school: Replica, api: httpx.AsyncClient, browser: Browser, before: str
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "cell_executed", hasError=True)
    elsewhere = view_url(school, class_id, before) if before else f"{school.url}/#/classes"
    async with open_tab(browser, elsewhere) as page:
        await page.locator("h1").first.wait_for()
        await page.goto(view_url(school, class_id, "lesson"))
        await wait_live(page)
        await expect(seat(page, user)).to_be_visible()
        await page.keyboard.press("p")
        await page.go_back()
        assert page.url == elsewhere
        for _ in range(2):
            await expect(projector(page)).to_have_count(1)
            await expect(page.get_by_role("button", name="Show names again")).to_be_visible()
            await expect(page.locator("#view")).to_be_hidden()
            await expect(page.locator("#view > *")).not_to_have_count(0)
            assert user not in await page.locator("body").inner_text()
            await page.reload()
        await show_names_again(page)
        await expect(page.locator("#view")).to_be_visible()
        await expect(projector(page)).to_have_count(0)


async def test_the_seats_are_led_to_from_another_view(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        await page.goto(view_url(school, class_id, "lesson"))
        await page.get_by_role("button", name="Projector").click()
        await expect(projector(page).locator(".seat")).to_have_count(1)
        await page.go_back()
        await expect(projector(page).locator(".seat")).to_have_count(0)
        await expect(projector(page)).to_contain_text("数学")
        assert await violations(page) == []
        await page.get_by_role("link", name="Show the seats").click()
        await expect(projector(page).locator(".seat")).to_have_text(["1"])
        assert user not in await page.locator("body").inner_text()


async def test_keys_do_nothing_unseen(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, f"student/{ids[0]}")) as page:
        await page.evaluate("localStorage.setItem('name', 'Sato')")
        await wait_live(page)
        await expect(page.get_by_role("button", name="Take it").last).to_be_visible()
        await page.keyboard.press("p")
        await expect(projector(page)).to_be_focused()
        for key in ("t", "n", "Escape", "p"):
            await page.keyboard.press(key)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Next call")
        await page.keyboard.press("Escape")
        assert page.url.endswith(f"/student/{ids[0]}")
        help_queue = (await api.get(f"/classes/{class_id}/help")).json()
        assert [each["taken_by"] for each in help_queue] == [None, None]


async def test_title_and_notifications_say_nothing_of_calls(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.evaluate("localStorage.setItem('alerts', 'notification')")
        await page.add_init_script("""
            window.shown = [];
            window.Notification = class {
                static permission = "granted";
                constructor(title, options) { window.shown.push(options.body); }
            };
            document.hasFocus = () => false;
        """)
        await page.reload()
        await wait_live(page)
        await post_as(school, one, "help")
        await expect(page).to_have_title(f"(1) {NAME}")
        await page.wait_for_function("() => shown.length === 1")
        await page.keyboard.press("p")
        await expect(page).to_have_title(NAME)
        await post_as(school, two, "help")
        await expect(page.locator("nav .badge")).to_have_text("2")
        await expect(page).to_have_title(NAME)
        assert await page.evaluate("shown.length") == 1
        await show_names_again(page)
        await expect(page).to_have_title(f"(2) {NAME}")


async def test_what_is_announced_while_projected_is_shown_afterwards(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.keyboard.press("p")
        await expect(projector(page)).to_be_visible()
        asked = page.expect_response("**/errors")
        async with asked:
            for user in users:
                await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError")
        await expect(page.locator(".top-errors li")).to_have_count(1)
        for _ in range(2):
            await expect(page.locator(".toast")).to_have_count(0)
            await page.reload()
            await wait_live(page)
        await show_names_again(page)
        await expect(page.locator(".toast")).to_contain_text("3 of 3 students: KeyError")


async def test_a_notice_stays_over_a_reload_until_it_is_cleared(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        await create(api, "/notices", message="休憩 10 分", class_id=class_id)
        await expect(page.locator(".toast")).to_contain_text("休憩 10 分")
        await page.goto(view_url(school, class_id, "lesson"))
        await wait_live(page)
        await page.get_by_role("button", name="Projector").click()
        for _ in range(2):
            await expect(projector(page).get_by_role("status")).to_have_text("休憩 10 分")
            await page.reload()
        assert await violations(page) == []
        await page.get_by_role("button", name="Clear the notice").click()
        for _ in range(2):
            await expect(projector(page).get_by_role("status")).to_have_text("")
            await expect(page.get_by_role("button", name="Clear the notice")).to_be_hidden()
            await page.reload()


async def test_no_two_seats_have_one_number(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    rows = [
        {"user_id": user, "number": number} for user, number in zip(users[1:], (3, 7), strict=True)
    ]
    (await api.post(f"/classes/{class_id}/students", json=rows)).raise_for_status()
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.keyboard.press("p")
        await expect(projector(page).locator(".seat")).to_have_count(3)
        assert await page.evaluate(SEATS) == ["3", "7", "8"]


async def test_letter_keys_are_named_and_switched_off(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await post_as(school, user, "help")
    lesson = view_url(school, class_id, "lesson")
    async with open_tab(browser, lesson) as page:
        await wait_live(page)
        keys, letters = page.get_by_role("button", name="Keys"), page.get_by_label("Letter keys")
        close = page.get_by_role("button", name="Close")
        await keys.click()
        await expect(page.get_by_role("dialog")).to_contain_text("Next call")
        assert await violations(page) == []
        await letters.uncheck()
        await close.click()
        await page.reload()
        await expect(seat(page, user)).to_contain_text("①")
        await page.locator("#view").focus()
        for key in ("n", "p", "?"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(projector(page)).to_have_count(0)
        assert page.url == lesson
        await seat(page, user).locator("a").click()
        await expect(page.locator(".rail-student h2").first).to_have_text(user)
        await page.keyboard.press("Escape")  # is no letter
        await expect(page.locator(".rail-calls")).to_be_visible()
        await keys.click()
        await expect(letters).not_to_be_checked()
        await letters.check()
        await close.click()
        await page.keyboard.press("n")
        await expect(page).to_have_url(view_url(school, class_id, f"student/{student}"))


async def test_a_key_that_is_held_acts_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three")
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(seat(page, users[2])).to_contain_text("③")
        await page.locator("#view").focus()
        for _ in range(3):  # without being let go
            await page.keyboard.down("n")
        await page.keyboard.up("n")
        await expect(page.locator(".rail-student h2").first).to_have_text(users[0])
        assert page.url.endswith(f"/student/{ids[0]}")
