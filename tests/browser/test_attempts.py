"""Attempts at a cell, reached from the heat map; item analysis; colours and changes."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import httpx
import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.page import HOSTILE, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_class_of, unique
from tests.support.replicas import Replica


async def run(school: Replica, user: str, notebook: str, code: str, **said: object) -> None:
    place = {"notebookPath": notebook, "cellId": "a/b", "cellIndex": 2, "result": ""}
    await post_as(school, user, "cell_executed", **place | {"code": code} | said)


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


async def test_a_cell_of_the_heat_map_leads_to_its_attempts_live(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), (student, _) = await create_class_of(api, "hanako", "taro")
    path = unique("lesson") + ".ipynb"
    failed = {"hasError": True, "errorMessage": "KeyError: 'x'"}
    await run(school, user, path, "total = sum(x)\nprint(total)", **failed)
    await run(school, other, path, HOSTILE, hasError=True, errorMessage="NameError: y")
    await run(school, user, path, "total = sum(y)\nprint(total)")
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    async with open_tab(browser, view_url(school, class_id, f"notebooks/{notebook['id']}")) as page:
        await wait_live(page)
        mark = page.locator(".heatmap tbody tr").filter(has_text=user).locator("td a")
        await expect(mark).to_have_text("✓2")
        await mark.click()
        cards = page.locator(".attempts .card")
        await expect(cards).to_have_count(2)  # this student's
        await expect(page).to_have_url(re.compile(f"attempts/{notebook['id']}.*student={student}"))
        await page.reload()
        await expect(cards).to_have_count(2)
        await expect(cards.first.locator("ins")).to_have_text("total = sum(y)")
        await expect(cards.first.locator("ins mark")).to_have_text("y")
        await expect(cards.first.locator("del mark")).to_have_text("x")
        await expect(cards.first.locator("[data-kind=builtin]").first).to_have_text("sum")
        await page.get_by_label("Student").select_option("All students")
        await expect(cards).to_have_count(3)
        await expect(page.locator("h2")).to_contain_text("Attempts at “")
        await expect(page.locator(".place").first).to_contain_text(f"{path} · cell 3")
        await expect(page.locator("#view")).to_contain_text("<script>alert(2)</script>")
        await page.get_by_label("Show").select_option("KeyError: … (1)")
        await expect(cards).to_have_count(1)
        await expect(cards).to_contain_text("attempt 1")
        await page.reload()
        await expect(cards).to_have_count(1)
        await page.get_by_label("Show").select_option("All attempts")
        await expect(cards).to_have_count(3)
        await wait_live(page)
        await page.evaluate("document.querySelector('.attempts .card').id = 'kept'")
        await run(school, other, path, "y = 2")
        await expect(cards).to_have_count(4)
        await expect(cards.first).to_contain_text("attempt 2")
        await expect(page.locator("#kept")).to_contain_text("sum(y)")


async def test_the_heat_map_can_be_read_with_the_keyboard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "hanako", "taro")
    path = unique("lesson") + ".ipynb"
    for user in users:
        for position, cell in enumerate("abc"):
            await run(school, user, path, "1", cellId=cell, cellIndex=position)
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    async with open_tab(browser, view_url(school, class_id, f"notebooks/{notebook['id']}")) as page:
        marks = page.locator(".heatmap td a")
        await expect(marks).to_have_count(6)
        await expect(page.locator(".heatmap td a[tabindex='0']")).to_have_count(1)
        await marks.first.focus()
        for key in ("ArrowRight", "ArrowDown", "End", "ArrowUp", "Home", "ArrowDown"):
            await page.keyboard.press(key)
        await expect(marks.nth(3)).to_be_focused()
        await page.keyboard.press("ArrowLeft")  # a name, no mark: the focus stays
        await expect(marks.nth(3)).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("h2")).to_have_text("Attempts at “1”")
        await page.go_back()
        await page.get_by_role("link", name="1 cell 2", exact=True).press("Enter")
        await expect(page.locator("h2")).to_have_text("Attempts at “1”")
        await expect(page.locator(".place").first).to_contain_text("cell 2")
        await expect(page.locator(".attempts .card")).to_have_count(2)


async def test_older_attempts_are_shown_on_request(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    path = unique("lesson") + ".ipynb"
    for n in range(40):
        await run(school, user, path, f"x = {n}", eventTime=ago(50 - n))
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    view = f"attempts/{notebook['id']}?place=id:a%2Fb"
    async with open_tab(browser, view_url(school, class_id, view)) as page:
        cards = page.locator(".attempts .card")
        await expect(cards).to_have_count(30)
        await page.get_by_role("button", name="Show more").click()
        await expect(cards).to_have_count(40)
        await expect(cards.last).to_contain_text("attempt 1 ")
        await wait_live(page)
        await run(school, user, path, "x = 40")
        await expect(cards).to_have_count(41)
        await expect(page.get_by_role("button", name="Show more")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
async def test_attempts_and_analysis_are_accessible(
    school: Replica, api: httpx.AsyncClient, browser: Browser, scheme: str, locale: str
) -> None:
    class_id, (user, other), (student, _) = await create_class_of(api, "hanako", "taro")
    path = unique("lesson") + ".ipynb"
    code = "@cache\ndef mean(values):  # of all\n    return sum(values) / 2\n\nprint(mean('x'))"
    await run(school, user, path, code, hasError=True, errorMessage="KeyError: 'x'")
    await run(school, user, path, code.replace("'x'", "'y'").replace("# of all", "# 平均"))
    await run(school, other, path, code, hasError=True, errorMessage="KeyError: 'x'")
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    task = {"class_id": class_id, "notebook_id": notebook["id"], "title": "Lesson 1"}
    assignment = await create(api, "/assignments", **task)
    handed_in = {"assignment_id": assignment["id"], "user_id": other, "grade": 4}
    await create(api, "/submissions", **handed_in)
    places = {
        f"attempts/{notebook['id']}?place=id:a%2Fb": ".attempts .card",
        f"analysis/{assignment['id']}": ".analysis tbody tr",
        f"student/{student}": ".runs .card",
        f"notebooks/{notebook['id']}": ".heatmap tbody tr",
    }
    url = view_url(school, class_id)
    async with open_tab(browser, url, color_scheme=scheme, locale=locale) as page:
        for view, shown in places.items():
            await page.goto(view_url(school, class_id, view))
            await wait_live(page)
            await expect(page.locator(shown).first).to_be_visible()
            assert await violations(page) == [], view


async def test_a_students_page_shows_what_changed_between_two_runs(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    path = unique("lesson") + ".ipynb"
    await run(school, user, path, "total = sum(x)\nprint(total)")
    await run(school, user, path, "total = sum(y)\nprint(total)")
    async with open_tab(browser, view_url(school, class_id, f"student/{student}")) as page:
        cards = page.locator(".runs .card")
        await expect(cards).to_have_count(2)
        await expect(cards.first.locator("ins mark")).to_have_text("y")
        await expect(cards.last.locator("[data-kind=builtin]").first).to_have_text("sum")
        await wait_live(page)
        await run(school, user, path, "total = sum(y)\nprint(2 * total)")
        await expect(cards).to_have_count(3)
        await expect(cards.first.locator("ins mark")).to_have_text(["2", " * "])


async def test_item_analysis_names_students_who_are_known_later(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    path = unique("lesson") + ".ipynb"
    await run(school, user, path, "x", hasError=True, errorMessage="NameError: x")
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    task = {"class_id": class_id, "notebook_id": notebook["id"], "title": "Lesson 1"}
    assignment = await create(api, "/assignments", **task)

    async with open_tab(browser, school.url) as page:
        shown = page.locator(".analysis tbody tr")

        async def late(route: Route) -> None:
            answer = await route.fetch()
            await expect(shown).to_have_count(1)
            await route.fulfill(response=answer)

        await page.route("**/now*", late)
        await page.goto(view_url(school, class_id, f"analysis/{assignment['id']}"))
        await shown.locator("summary").click()
        await expect(shown.get_by_role("link", name=user)).to_be_visible()


async def test_item_analysis_leads_to_attempts_and_students(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")
    path = unique("lesson") + ".ipynb"
    await run(school, user, path, "1 / 0", hasError=True, eventTime=ago(3))
    await run(school, user, path, "1 / 1", eventTime=ago(1))
    await run(school, other, path, "1 / 0", hasError=True)
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    task = {"class_id": class_id, "notebook_id": notebook["id"], "title": "Lesson 1"}
    assignment = await create(api, "/assignments", **task)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        link = page.get_by_role("link", name="Item analysis")
        # A click may be lost: the list is shown anew while the page loads.
        await page.goto(urljoin(page.url, await link.get_attribute("href")))
        await expect(page.locator("h2")).to_have_text("Item analysis: Lesson 1")
        row = page.locator(".analysis tbody tr")
        await expect(row).to_contain_text("1 of 2")
        await expect(row).to_contain_text("2, 2")
        await row.locator("summary").click()
        await expect(row.get_by_role("link", name=other)).to_be_visible()
        await row.get_by_role("link", name="cell 3").click()
        await expect(page.locator(".attempts .card")).to_have_count(3)
    assert assignment["id"]
