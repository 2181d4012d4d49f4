"""The errors of the last minutes, and what announces them."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

FAILED = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
SHOW = "async (text) => (await import('/page/dom.js')).toast(text)"
# Whether what is at the middle of each visible line of text is that text, and no toast.
COVERED = """() => [...document.querySelectorAll("#view *")].filter((each) => {
    const { left, right, top, bottom } = each.getBoundingClientRect();
    const strip = document.getElementById("toasts").getBoundingClientRect();
    if (each.childElementCount || !each.textContent.trim() || bottom > strip.top) return false;
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return there?.closest(".toast");
}).length"""


async def test_common_error_is_announced_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three", "four")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        await post(school, *(event(userId=user, **FAILED) for user in users[:3]))
        headline = "3 of 4 students: KeyError: … in lesson.ipynb, “1 + 1”"
        await expect(page.locator(".toast")).to_contain_text(headline)
        await expect(page.locator(".radar .card h2")).to_have_text(headline)
        await page.locator(".toast").get_by_role("button", name="Close").click()
        await post_as(school, users[3], "cell_executed", **FAILED)
        await expect(page.locator(".radar .card h2")).to_contain_text("4 of 4")
        await expect(page.locator(".toast")).to_have_count(0)


async def test_who_got_past_an_error_is_told_apart_until_nobody_is_at_it(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three", "four")
    await post(school, *(event(userId=user, **FAILED) for user in users))
    await post(school, *(event(userId=user, cellIndex=6) for user in users[:2]))
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        card = page.locator(".radar .card")
        await expect(card.locator("h2")).to_contain_text("2 of 4 students: KeyError")
        await expect(card).to_contain_text("4 had this error: 2 unsolved, 2 solved")
        assert len(await card.locator(".names").first.locator("li").all()) == 2
        await expect(page.locator(".toast")).to_have_count(0)  # 4 met it, but it takes 3 now
        await post_as(school, users[2], "cell_executed", cellIndex=6)
        await expect(card).to_contain_text("4 had this error: 1 unsolved, 3 solved")
        await post_as(school, users[3], "cell_executed", cellIndex=6)
        await expect(card).to_have_count(0)
        await expect(page.locator(".view .hint").first).to_contain_text("No unsolved errors")


async def test_the_code_is_open_and_names_are_folded_and_focus_survives_new_errors(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two", "three")
    await post_as(school, users[0], "cell_executed", **FAILED, code="ages['x']")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        card = page.locator(".radar .card")
        await expect(card.locator("pre").first).to_have_text("ages['x']")
        await expect(card.locator("pre").last).to_contain_text("KeyError: 'x'")
        await expect(card.locator("summary").first).to_have_text("1 of 3")
        await expect(card.get_by_text(users[0], exact=True)).to_be_hidden()
        await card.locator("summary").first.focus()
        await page.keyboard.press("Enter")
        await expect(card.get_by_role("link", name=users[0], exact=True)).to_be_visible()
        await post_as(school, users[1], "cell_executed", **FAILED, code="ages.pop('x')")
        await expect(page.locator(".radar h2")).to_contain_text("2 of 3")
        await expect(card.locator("pre").first).to_have_text("ages.pop('x')")
        await expect(card.locator("summary").first).to_be_focused()
        await expect(card.get_by_role("link", name=users[1], exact=True)).to_be_visible()
        await card.get_by_role("link", name=users[0], exact=True).focus()
        await post_as(school, users[2], "cell_executed", **FAILED)
        await expect(card.locator("summary").first).to_have_text("3 of 3")
        await expect(card.get_by_role("link", name=users[0], exact=True)).to_be_focused()
        seats = card.get_by_role("link", name="Show on seats")
        wanted = ",".join(str(student_id) for _, student_id in sorted(zip(users, ids, strict=True)))
        address = f"#/class/{class_id}/lesson?errors={wanted}"
        await expect(seats).to_have_attribute("href", address)


async def test_everybody_in_the_class_is_told_from_an_error(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    await post_as(school, users[0], "cell_executed", **FAILED)
    url = view_url(school, class_id, "errors")
    async with (
        open_tab(browser, url) as page,
        open_tab(browser, view_url(school, class_id)) as other,
    ):
        await wait_live(page)
        await wait_live(other)
        await page.get_by_role("button", name="Tell all").click()
        words = page.get_by_label("Notice to everyone in the class")
        await expect(words).to_be_focused()
        await expect(words).to_have_value("lesson.ipynb, “1 + 1”: ")
        assert await violations(page) == []
        await page.keyboard.type("look at the key once more")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Tell all")).to_be_focused()
        told = "lesson.ipynb, “1 + 1”: look at the key once more"
        await expect(other.locator(".toast")).to_contain_text(told)
        await expect(page.locator(".toast")).to_contain_text(told)
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Tell all").click()
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Failed")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_those_at_an_error_are_named_by_their_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *"abc")
    await post(school, *(event(userId=user, **FAILED) for user in users))
    seats = [
        {"student_id": student, "row": row, "column": 3}
        for student, row in zip(ids[:2], (28, 2), strict=True)
    ]
    room = {"rows": 28, "columns": 4, "aisles": [], "seats": seats}
    (await api.put(f"/classes/{class_id}/room", json=room)).raise_for_status()
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await expect(page.locator(".radar summary").first).to_have_text("3 of 3: B3, AB3 …")


async def toasts(page: Page, *texts: str) -> None:
    for text in texts:
        await page.evaluate(SHOW, text)


async def test_toasts_leave_by_themselves_but_not_from_under_the_pointer(
    school: Replica, browser: Browser
) -> None:
    async with open_tab(browser, school.url) as page:
        await page.clock.install()
        await toasts(page, "first")
        await page.clock.run_for(13_000)
        await expect(page.locator(".toast")).to_have_count(0)
        await toasts(page, "second")
        await page.locator(".toast").hover()
        await page.clock.run_for(60_000)
        await expect(page.locator(".toast")).to_have_text("second×")
        await page.mouse.move(5, 5)
        await page.clock.run_for(13_000)
        await expect(page.locator(".toast")).to_have_count(0)
        await toasts(page, "third")
        await page.keyboard.press("Tab")  # what has the focus after a key is marked as such
        await page.locator(".toast button").focus()
        await expect(page.locator(".toast button")).to_be_focused()
        await page.clock.run_for(60_000)
        await page.keyboard.press("Enter")
        await expect(page.locator(".toast")).to_have_count(0)
        await expect(page.locator("#view")).to_be_focused()


@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, {"width": 390, "height": 700}])
async def test_toasts_cover_nothing_and_are_said(
    school: Replica, api: httpx.AsyncClient, browser: Browser, size: Any
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"student {n}" for n in range(30)))
    await post(school, *(event(userId=user, **FAILED) for user in users))
    async with open_tab(browser, view_url(school, class_id)) as page:
        await page.set_viewport_size(size)
        await expect(page.locator(".tile")).to_have_count(30)
        await expect(page.locator(".toast")).to_contain_text("30 of 30")
        await page.wait_for_load_state("networkidle")  # who is in no class is said above
        before = await page.locator(".tile").nth(9).bounding_box()
        await toasts(page, "one", "two", "three " * 60)
        assert await page.locator(".tile").nth(9).bounding_box() == before
        await expect(page.locator(".toast").last).to_contain_text("three")
        assert await page.locator(".toast").count() <= 2
        said = page.get_by_role("status")
        assert [await said.get_by_text(text).count() > 0 for text in ("one", "two")] == [True] * 2
        for place in (0, 300, 100_000):
            await page.evaluate(f"scrollTo(0, {place})")
            assert await page.evaluate(COVERED) == 0
        last = await page.locator(".tile").last.bounding_box()
        strip = await page.locator("#toasts").bounding_box()
        assert last
        assert strip
        assert last["y"] + last["height"] <= strip["y"]
        assert strip["y"] + strip["height"] == size["height"]
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert await violations(page) == []
