"""Cells are named by what one can find in Jupyter: their code and the heading above."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import tile, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_class_of, unique
from tests.support.replicas import Replica

LOOK_UP = "# a comment\nages['taro']"


async def test_every_view_names_a_cell_by_its_code_and_the_heading(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, _), _ = await create_class_of(api, "hanako", "taro")
    path = unique("lesson") + ".ipynb"

    async def run(who: str, index: int, code: str, **said: object) -> None:
        place = {"notebookPath": path, "cellId": f"c{index}", "cellIndex": index, "code": code}
        await post_as(school, who, "cell_executed", **place | {"result": ""} | said)

    await run(user, 0, "## Dictionaries", cellType="markdown")
    await run(user, 1, "ages = {}")
    await run(user, 2, "## Looking up", cellType="markdown")
    await run(user, 3, LOOK_UP, hasError=True, errorMessage="KeyError: 'taro'")
    await post_as(school, user, "help", notebookPath=None, cellId=None)
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    fields = {"class_id": class_id, "notebook_id": notebook["id"], "title": "x"}
    assignment = await create(api, "/assignments", **fields)
    called = "“ages['taro']” (Looking up)"
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        headline = f"1 of 2 students: KeyError: … in {path}, {called}"
        await expect(page.locator(".radar h2")).to_have_text(headline)
        await page.goto(view_url(school, class_id, "help"))
        place = page.locator(".call .place")
        await expect(place).to_contain_text(f"{path} · {called}", timeout=20_000)
        await page.goto(view_url(school, class_id, f"notebooks/{notebook['id']}"))
        table = page.locator(".heatmap")
        await expect(table.locator(".headings th")).to_have_text(["Dictionaries", "Looking up"])
        cells = table.locator(".cells th")
        titles = ["Dictionaries", "ages = {}", "Looking up", "ages['taro']"]
        await expect(cells.locator("code")).to_have_text(titles)
        await expect(cells.locator("small")).to_have_text([f"cell {n}" for n in range(1, 5)])
        await expect(cells.last).to_have_attribute("title", f"{called} · cell 4")
        mark = f"{user}, {called}: 1 error"
        await expect(table.get_by_role("link", name=mark)).to_have_text("✗1")
        assert await violations(page) == []
        await table.get_by_role("link", name=mark).click()
        await expect(page.locator("h2")).to_have_text(f"Attempts at {called}")
        await expect(page.locator(".place").first).to_contain_text(f"{path} · cell 4 · ")
        await page.goto(view_url(school, class_id, f"analysis/{assignment['id']}"))
        await expect(page.locator(".analysis th code").last).to_have_text("ages['taro']")
        student = await page.evaluate(
            f"fetch('/api/v1/classes/{class_id}/now').then(a => a.json())"
        )
        await page.goto(view_url(school, class_id, f"student/{student[0]['student_id']}"))
        await expect(page.locator(".runs .card").first).to_contain_text("cell 4 (Looking up)")


async def test_a_cell_that_somebody_was_in_before_has_its_name_at_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")
    place = {"notebookPath": unique("lesson") + ".ipynb", "cellId": "c1", "cellIndex": 1}
    await post_as(school, user, "cell_executed", **place, code="x = 1")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await expect(tile(page, user)).to_contain_text("“x = 1”", timeout=20_000)
        await post_as(school, other, "cell_executed", **place, code="x = 2")
        await expect(tile(page, other)).to_contain_text("“x = 1”")
        await post_as(school, user, "cell_executed", **place | {"cellId": "c2"}, code="y = 1")
        await expect(tile(page, user)).to_contain_text("cell 2")
        await expect(tile(page, user)).to_contain_text("“y = 1”", timeout=20_000)


async def test_times_are_shown_where_the_client_measures_them(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    place = {"notebookPath": unique("lesson") + ".ipynb", "cellId": "c1", "code": "1"}
    for _ in range(2):
        await post_as(school, user, "cell_executed", **place, executionDurationMs=0)
    async with open_tab(browser, view_url(school, class_id, "notebooks")) as page:
        await wait_live(page)
        heading = page.get_by_role("rowheader", name="Run time (median)")
        await expect(page.get_by_role("rowheader", name="Success rate")).to_be_visible()
        await expect(heading).to_have_count(0)
        for _ in range(3):
            await post_as(school, user, "cell_executed", **place, executionDurationMs=2_000)
        await expect(heading).to_have_count(1)
        row = page.locator("tr").filter(has=heading)
        await expect(row.locator("td")).to_contain_text("s")
