"""A student, a notebook, the activity over time."""

import re
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import hold, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.network import cuttable_link
from tests.support.replicas import Replica
from tests.support.waiting import within_one_interval


async def test_student_notebook_and_activity_agree(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")
    notebook = f"{user}.ipynb"
    for failed in (True, False):
        run = {"notebookPath": notebook, "hasError": failed, "cellIndex": 0, "code": "1 / 0"}
        await post_as(school, user, "cell_executed", **run)
    await post_as(school, other, "cell_executed", notebookPath=notebook, hasError=True)
    (shown,) = (await api.get("/notebooks", params={"path": notebook})).json()
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await page.get_by_role("link", name=user, exact=False).filter(has_text="2 runs").click()
        await expect(page.locator(".runs .card")).to_have_count(2)
        await expect(page.locator(".runs")).to_contain_text("1 / 0")
        await post_as(school, user, "cell_executed", code="later")
        await expect(page.locator(".runs .card").first).to_contain_text("later")
        await page.goto(view_url(school, class_id, f"notebooks/{shown['id']}"))
        row = page.locator(".heatmap tbody tr")
        await expect(row.filter(has_text=user)).to_contain_text("✓2")
        await expect(row.filter(has_text=other)).to_contain_text("✗1")
        await expect(page.locator(".heatmap thead")).to_contain_text("50 %")
        await page.get_by_role("link", name="Look back").click()
        await expect(page.locator(".totals")).to_contain_text("runs 4, errors 2")
        await page.get_by_role("slider", name="Point in time").fill("0")
        await expect(page.locator(".totals")).not_to_contain_text("runs 4")


async def test_replay_shows_the_class_as_it_was(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")

    def ago(minutes: float) -> str:
        return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()

    for minutes in (8.5, 8.4, 8.3):
        await post_as(school, user, "cell_executed", eventTime=ago(minutes), hasError=True)
    await post_as(school, user, "cell_executed", eventTime=ago(4), cellId="c7", cellIndex=6)
    await post_as(school, other, "cell_executed", eventTime=ago(2), hasError=True)
    async with open_tab(browser, view_url(school, class_id, "activity")) as page:
        then = page.locator(".replay .tile")
        hanako, taro = then.filter(has_text=user), then.filter(has_text=other)
        await expect(hanako).to_have_attribute("data-state", "active")
        await expect(hanako).to_contain_text("“1 + 1”")
        await expect(taro).to_have_attribute("data-state", "error")
        slider = page.get_by_role("slider", name="Point in time")
        async with page.expect_request("**/now?at=*"):  # the chart is there
            await page.get_by_label("Interval").select_option("1 minute")
        await expect(page.locator(".totals")).to_contain_text("runs 5, errors 4")
        last = int(await slider.get_attribute("max") or 0)
        await slider.fill(str(last - 7))
        await expect(hanako).to_have_attribute("data-state", "stuck")
        await expect(taro).to_have_attribute("data-state", "idle")
        await slider.fill(str(last - 3))
        await expect(hanako).to_have_attribute("data-state", "active")
        await page.get_by_role("button", name="Replay").click()
        await expect(taro).to_have_attribute("data-state", "error")
        await expect(page.get_by_role("button", name="Replay")).to_be_visible()
        await page.get_by_label("Lesson ends at").fill("2020-01-01T12:00")
        await expect(page.locator(".totals")).to_contain_text("runs 0")
        await expect(hanako).to_have_attribute("data-state", "idle")


async def test_activity_shows_how_many_students_wait(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), (student, _) = await create_class_of(api, "hanako", "taro")
    await post_as(school, user, "cell_executed")
    for _ in range(3):  # the button repeats its signal
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "activity")) as page:
        totals = page.locator(".totals")
        await expect(totals).to_contain_text("most students waiting in one interval 1")
        answer = await api.post(
            f"/classes/{class_id}/help/{student}/resolve", json={"name": "Sato"}
        )
        assert answer.status_code == 200, answer.text
        await post_as(school, user, "help")  # the same call: the button is still on
        await post_as(school, other, "help")
        await expect(totals).to_contain_text("most students waiting in one interval 2")
        await page.get_by_text("Show as a table").click()
        table = page.get_by_role("table")
        headings = ["Runs", "Errors", "Students waiting"]
        await expect(table.locator("thead th")).to_have_text(headings)
        await expect(table.locator("tbody td").last).to_have_text("2")
        assert await violations(page) == []


async def test_heat_map_and_activity_fetch_only_after_events(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    notebook = {"notebookPath": f"{user}.ipynb", "cellId": "a", "cellIndex": 0}
    await post_as(school, user, "cell_executed", **notebook, hasError=True)
    url = view_url(school, class_id, "notebooks")
    async with (
        open_tab(browser, url) as page,
        open_tab(browser, view_url(school, class_id, "activity")) as other,
    ):
        cell = page.locator(".heatmap tbody .heat")
        await expect(cell).to_contain_text("✗1")
        await expect(other.locator(".totals")).to_contain_text("runs 1")
        for each in (page, other):
            await wait_live(each)
            await each.wait_for_load_state("networkidle")
        requests: list[str] = []
        for each in (page, other):
            each.on("request", lambda request: requests.append(request.url))
        shown = re.compile("/(notebooks|activity|now)[/?]")
        await page.evaluate("document.querySelector('.heatmap .heat').id = 'kept'")
        await page.wait_for_timeout(6_500)
        assert [url for url in requests if shown.search(url)] == []
        await post_as(school, user, "cell_executed", **notebook)
        await expect(cell).to_contain_text("✓2")
        await expect(cell).to_have_id("kept")
        await expect(other.locator(".totals")).to_contain_text("runs 2")
        await post_as(school, user, "cell_executed", **notebook | {"cellId": "b", "cellIndex": 1})
        await expect(cell).to_have_count(2)


async def test_notebooks_say_when_they_cannot_be_fetched(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with cuttable_link(school.port) as network:
        url = f"http://127.0.0.1:{network.port}/#/class/{class_id}"
        async with open_tab(browser, url) as page:
            await wait_live(page)
            await network.cut()
            await page.get_by_role("link", name="Notebooks").click()
            await expect(page.get_by_role("alert")).to_contain_text("Failed")


async def test_heat_map_is_no_wider_or_longer_than_its_box(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"student{n}" for n in range(40)))
    for position in range(12):
        await post_as(
            school,
            users[0],
            "cell_executed",
            notebookPath=f"{users[0]}.ipynb",
            cellId=f"c{position}",
            cellIndex=position,
        )
    async with open_tab(browser, view_url(school, class_id, "notebooks")) as page:
        await page.set_viewport_size({"width": 390, "height": 800})
        await expect(page.locator(".heatmap tbody tr")).to_have_count(40)
        overflow = await page.evaluate(
            "[document.documentElement.scrollWidth - innerWidth,"
            " document.documentElement.scrollHeight"
            " - document.querySelector('.scroll').getBoundingClientRect().bottom - scrollY]"
        )
        assert overflow[0] <= 0
        assert overflow[1] < 100  # px


async def test_the_running_minute_is_hatched_and_the_slider_skips_quiet_ones(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await within_one_interval(60, room=30)
    await post_as(school, user, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "activity")) as page:
        await expect(page.locator(".replay .tile")).to_have_count(1)
        async with page.expect_request("**/now?at=*"):  # the chart is there
            await page.get_by_label("Interval").select_option("1 minute")
        await expect(page.locator(".totals")).to_contain_text("runs 1")
        hatched = await page.evaluate(
            """() => Chart.getChart(document.querySelector('.chart canvas')).data.datasets[0]
                .backgroundColor.map((each) => each instanceof CanvasPattern)"""
        )
        assert hatched == [False] * (len(hatched) - 1) + [True]
        slider = page.get_by_role("slider", name="Point in time")
        last = await slider.get_attribute("max")
        await slider.focus()
        await page.keyboard.press("ArrowLeft")  # nothing happened before
        await expect(slider).to_have_value("0")
        await page.keyboard.press("ArrowRight")
        await expect(slider).to_have_value(last or "")


async def test_the_slider_stays_where_it_was_put_while_the_chart_was_fetched(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await within_one_interval(300, room=30)
    await post_as(school, user, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "activity")) as page:
        await expect(page.locator(".replay .tile")).to_have_count(1)
        held = await hold(page, "**/activity?*")
        async with page.expect_request("**/activity?*"):
            await post_as(school, user, "cell_executed")
        slider = page.get_by_role("slider", name="Point in time")
        await slider.press("ArrowLeft")
        await expect(slider).to_have_value("0")
        await held[0].continue_()
        await page.get_by_text("Show as a table").click()
        await expect(page.get_by_role("row").last).to_contain_text("2")
        await expect(slider).to_have_value("0")


async def test_an_answer_that_comes_too_late_does_not_replace_a_later_one(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "activity")) as page:
        await page.get_by_text("Show as a table").click()
        rows = page.get_by_role("row")
        await expect(page.locator(".replay .tile")).to_have_count(1)
        held = await hold(page, "**/activity?interval=3600")
        interval = page.get_by_label("Interval")
        async with page.expect_request("**/activity?interval=3600"):
            await interval.select_option("1 hour")
        async with page.expect_request("**/now?at=*"):  # the chart is there
            await interval.select_option("1 minute")
        by_minutes = await rows.all_inner_texts()
        async with page.expect_response("**/activity?interval=3600"):
            await held[0].continue_()
        await page.evaluate("new Promise(requestAnimationFrame)")
        assert await rows.all_inner_texts() == by_minutes
