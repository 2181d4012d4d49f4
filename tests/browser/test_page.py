"""The teacher's page in a real browser, against a running server, with events as they are sent."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from monitor.app import create_app
from monitor.settings import Settings
from tests.support.browser import launch_chromium, open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import act_on_help, create, create_assignment, create_class_of, unique
from tests.support.network import cuttable_link
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

VIEWS = ("students", "help", "errors", "notebooks", "activity", "manage")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>'\"&amp;"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launch_chromium() as browser:
        yield browser


def at(school: Replica, class_id: int, view: str = "students", query: str = "") -> str:
    return f"{school.url}/{query}#/class/{class_id}/{view}"


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile").filter(has_text=name)


async def live(page: Page) -> None:
    await expect(page.locator(".connection")).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("prefix", ["/api/v1", "/other"])
async def test_it_loads_nothing_from_elsewhere_and_has_no_script_of_its_own(prefix: str) -> None:
    transport = httpx.ASGITransport(create_app(Settings(api_v1_str=prefix), {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/")
        assert f'name="api" content="{prefix[1:]}"' in page.text
        assert re.findall(r"https?:|<style|style=|\son\w+=", page.text) == []
        assert re.findall(r"<script[^>]*>([^<]*)</script>", page.text) == [""]
        files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        for name in (*files, "page/Chart.bundle.js"):
            file = await client.get(f"/{name}")
            assert file.status_code == 200
            policy = file.headers["Content-Security-Policy"]
            assert policy == page.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            kept = {"If-None-Match": file.headers["ETag"]}
            assert (await client.get(f"/{name}", headers=kept)).status_code == 304


async def test_a_tile_shows_what_just_happened(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    async with open_tab(browser, at(school, class_id)) as page:
        hanako = tile(page, user)
        await expect(hanako).to_have_attribute("data-state", "idle")
        await live(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await post_as(school, user, "cell_executed", cellIndex=4)
        await expect(hanako).to_have_attribute("data-state", "active")
        await expect(hanako).to_contain_text("lesson.ipynb · cell 5")
        await expect(hanako).to_contain_text("runs 1")
        for state in ("error", "error", "stuck"):
            await post_as(school, user, "cell_executed", hasError=True)
            await expect(hanako).to_have_attribute("data-state", state)
        await post_as(school, user, "help")
        await expect(hanako).to_have_attribute("data-state", "help")
        await expect(hanako).not_to_have_class(re.compile("is-taken"))
        await act_on_help(api, class_id, student, "take", "Sato")
        await expect(hanako).to_have_class(re.compile("is-taken"))
        await expect(hanako).to_contain_text("Sato is there")
        await post_as(school, user, "help_stop")
        await expect(hanako).to_have_attribute("data-state", "stuck")
        await post_as(school, user, "cell_executed")
        await expect(hanako).to_have_attribute("data-state", "active")
        assert [url for url in asked if url.endswith("/now")] == []


async def test_a_broken_connection_recovers_without_a_gap(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with cuttable_link(school.port) as network:
        url = f"http://127.0.0.1:{network.port}/#/class/{class_id}"
        async with open_tab(browser, url) as page:
            await live(page)
            await post_as(school, one, "cell_executed")
            await expect(tile(page, one)).to_contain_text("runs 1")
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            await network.cut()
            await expect(page.locator(".connection")).not_to_have_attribute("data-state", "live")
            for _ in range(3):
                await post_as(school, two, "cell_executed", hasError=True)
            await network.mend()
            await live(page)
            await expect(tile(page, two)).to_have_attribute("data-state", "stuck")
            await expect(tile(page, two)).to_contain_text("errors in a row 3")
            assert [url for url in asked if url.endswith("/now")] == []


async def test_after_the_servers_restart_the_class_is_fetched_again(
    replica: Replica, browser: Browser
) -> None:
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
        class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, at(replica, class_id)) as page:
        await live(page)
        await post_as(replica, user, "cell_executed")
        await expect(tile(page, user)).to_contain_text("runs 1")
        replica.stop()
        await expect(page.locator(".connection")).not_to_have_attribute("data-state", "live")
        replica.start()
        await post_as(replica, user, "cell_executed")
        await expect(tile(page, user)).to_contain_text("runs 2")
        await live(page)


async def test_two_teachers_and_one_request(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    url = at(school, class_id, "help")
    async with open_tab(browser, url) as one, open_tab(browser, url) as two:
        await live(one)
        await live(two)
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
        await post_as(school, user, "help")
        for page, name in ((one, "Sato"), (two, "Suzuki")):
            await page.get_by_label("Your name").fill(name)
            await expect(page.locator(".queue .card")).to_contain_text("KeyError: 'x'")
            await expect(page.locator("nav .badge")).to_have_text("1")
        await one.get_by_role("button", name="I go there").click()
        await expect(two.locator(".queue .card")).to_contain_text("Sato is there")
        await expect(two.get_by_role("button", name="I go there")).to_be_hidden()
        await one.get_by_role("button", name="Resolved").click()
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(0)
        await post_as(school, user, "help")
        await post_as(school, user, "cell_executed", cellIndex=8)
        await post_as(school, user, "help_stop")
        await post_as(school, user, "help")
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(1)


async def test_an_error_that_many_have_is_announced_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three", "four")
    async with open_tab(browser, at(school, class_id, "errors")) as page:
        await live(page)
        failed = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
        told = [event(userId=user, **failed) for user in users[:3]]
        await post(school, *told)
        said = "3 of 4 have KeyError: … in lesson.ipynb cell 7"
        await expect(page.locator(".toast")).to_contain_text(said)
        await expect(page.locator(".radar .card h2")).to_have_text(said)
        await page.locator(".toast .close").click()
        await post_as(school, users[3], "cell_executed", **failed)
        await expect(page.locator(".radar .card h2")).to_contain_text("4 of 4")
        await expect(page.locator(".toast")).to_have_count(0)


async def test_names_code_and_output_stay_text(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, HOSTILE)
    told = {"userName": HOSTILE, "teamName": HOSTILE, "notebookPath": HOSTILE, "code": HOSTILE}
    failed = {"hasError": True, "errorMessage": HOSTILE, "result": HOSTILE}
    await post_as(school, user, "cell_executed", **told, **failed)
    await post_as(school, user, "help", **told)
    source = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": HOSTILE}
    content = {"cells": [source], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assignment = (await create_assignment(api, class_id=class_id, title=HOSTILE))["id"]
    handed = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=content
    )
    places = (*VIEWS, f"student/{student}", f"submission/{handed['id']}")
    for view in places:
        async with open_tab(browser, at(school, class_id, view)) as page:
            await live(page)
            if view != "activity":
                await expect(page.locator("#view")).to_contain_text("<script>alert(2)</script>")
            assert await page.locator("img, main script").count() == 0


@pytest.mark.parametrize(
    ("context", "query", "words"),
    [
        ({"locale": "ja-JP"}, "", ["学生", "質問", "エラー", "停止中"]),
        ({"locale": "en-US"}, "", ["Students", "Help", "Errors", "Idle"]),
        ({"locale": "en-US"}, "?lang=ja", ["学生", "質問", "エラー", "停止中"]),
    ],
)
async def test_it_speaks_japanese_and_english(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    context: dict[str, str],
    query: str,
    words: list[str],
) -> None:
    class_id, _, _ = await create_class_of(api, "花子")
    async with open_tab(browser, at(school, class_id, query=query), **context) as page:
        await live(page)
        for word in words:
            await expect(page.locator("body")).to_contain_text(word)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(
    school: Replica, api: httpx.AsyncClient, browser: Browser, scheme: str
) -> None:
    class_id, (user, other), (student, _) = await create_class_of(api, "hanako", "taro")
    await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    await post_as(school, user, "help")
    await post_as(school, other, "cell_executed")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    handed = await create(api, "/submissions", assignment_id=assignment, student_id=student)
    places = (*VIEWS, f"student/{student}", f"submission/{handed['id']}")
    url = at(school, class_id)
    async with open_tab(browser, url, color_scheme=scheme) as page:
        for view in places:
            await page.goto(at(school, class_id, view))
            await live(page)
            await page.wait_for_load_state("networkidle")
            found = (await Axe().run(page)).response["violations"]
            serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
            assert serious == [], (view, [each["nodes"][0]["html"] for each in found])


async def test_a_lesson_can_be_looked_at_in_all_ways(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")
    notebook = f"{user}.ipynb"
    for failed in (True, False):
        told = {"notebookPath": notebook, "hasError": failed, "cellIndex": 0, "code": "1 / 0"}
        await post_as(school, user, "cell_executed", **told)
    await post_as(school, other, "cell_executed", notebookPath=notebook, hasError=True)
    (known,) = (await api.get("/notebooks", params={"path": notebook})).json()
    async with open_tab(browser, at(school, class_id)) as page:
        await live(page)
        await page.get_by_role("link", name=user, exact=False).filter(has_text="runs 2").click()
        await expect(page.locator(".runs .card")).to_have_count(2)
        await expect(page.locator(".runs")).to_contain_text("1 / 0")
        await post_as(school, user, "cell_executed", code="later")
        await expect(page.locator(".runs .card").first).to_contain_text("later")
        await page.goto(at(school, class_id, f"notebooks/{known['id']}"))
        row = page.locator(".heatmap tbody tr")
        await expect(row.filter(has_text=user)).to_contain_text("✓2")
        await expect(row.filter(has_text=other)).to_contain_text("✗1")
        await expect(page.locator(".heatmap thead")).to_contain_text("50 %")
        await page.get_by_role("link", name="Activity").click()
        await expect(page.locator(".told")).to_contain_text("4 executions, 2 errors")
        await page.get_by_role("slider", name="Moment").fill("0")
        await expect(page.locator(".told")).not_to_contain_text("4 executions")


async def test_the_class_is_shown_as_it_was(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")

    def ago(minutes: float) -> str:
        return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()

    for minutes in (8.5, 8.4, 8.3):
        await post_as(school, user, "cell_executed", eventTime=ago(minutes), hasError=True)
    await post_as(school, user, "cell_executed", eventTime=ago(4), cellId="c7", cellIndex=6)
    await post_as(school, other, "cell_executed", eventTime=ago(2), hasError=True)
    async with open_tab(browser, at(school, class_id, "activity")) as page:
        then = page.locator(".then .tile")
        hanako, taro = then.filter(has_text=user), then.filter(has_text=other)
        await expect(hanako).to_have_attribute("data-state", "active")
        await expect(hanako).to_contain_text("cell 7")
        await expect(taro).to_have_attribute("data-state", "error")
        slider = page.get_by_role("slider", name="Moment")
        await page.get_by_label("Interval").select_option("every minute")
        await expect(page.locator(".told")).to_contain_text("5 executions, 4 errors")
        last = int(await slider.get_attribute("max") or 0)
        await slider.fill(str(last - 7))
        await expect(hanako).to_have_attribute("data-state", "stuck")
        await expect(taro).to_have_attribute("data-state", "idle")
        await slider.fill(str(last - 3))
        await expect(hanako).to_have_attribute("data-state", "active")
        await page.get_by_role("button", name="Replay").click()
        await expect(taro).to_have_attribute("data-state", "error")
        await expect(page.get_by_role("button", name="Replay")).to_be_visible()
        await page.get_by_label("Lesson up to").fill("2020-01-01T12:00")
        await expect(page.locator(".told")).to_contain_text("0 executions")
        await expect(hanako).to_have_attribute("data-state", "idle")


async def test_heat_map_and_activity_follow_what_happens_and_ask_nothing_else(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    notebook = {"notebookPath": f"{user}.ipynb", "cellId": "a", "cellIndex": 0}
    await post_as(school, user, "cell_executed", **notebook, hasError=True)
    url = at(school, class_id, "notebooks")
    async with (
        open_tab(browser, url) as page,
        open_tab(browser, at(school, class_id, "activity")) as other,
    ):
        cell = page.locator(".heatmap tbody .heat")
        await expect(cell).to_contain_text("✗1")
        await expect(other.locator(".told")).to_contain_text("1 executions")
        for each in (page, other):
            await live(each)
            await each.wait_for_load_state("networkidle")
        asked: list[str] = []
        for each in (page, other):
            each.on("request", lambda request: asked.append(request.url))
        await page.evaluate("document.querySelector('.heatmap .heat').id = 'kept'")
        await page.wait_for_timeout(6_500)
        assert asked == []
        await post_as(school, user, "cell_executed", **notebook)
        await expect(cell).to_contain_text("✓2")
        await expect(cell).to_have_id("kept")
        await expect(other.locator(".told")).to_contain_text("2 executions")
        await post_as(school, user, "cell_executed", **notebook | {"cellId": "b", "cellIndex": 1})
        await expect(cell).to_have_count(2)


async def test_a_class_is_made_filled_given_work_and_graded(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    async with open_tab(browser, at(school, class_id, "manage")) as page:
        handing = page.locator("form").filter(has=page.get_by_role("heading", name="Hand out"))
        await handing.get_by_label("Title").fill("第1回")
        await handing.get_by_label("Notebook path").fill(f"{user}.ipynb")
        await handing.get_by_label("Due").fill("2030-04-01T12:00")
        await handing.get_by_role("button", name="Hand out").click()
        await expect(page.locator(".assignments .card")).to_contain_text("第1回")
        await page.get_by_label("One student to a line").fill(f"{user}-2,次郎,,班1")
        await page.get_by_role("button", name="Enrol").click()
        await expect(page.locator(".toast").last).to_contain_text("1 enrolled.")
        (assignment,) = (await api.get("/assignments", params={"class_id": class_id})).json()
        handed = [
            await create(api, "/submissions", assignment_id=assignment["id"], student_id=student)
            for _ in range(2)
        ]
        await page.goto(at(school, class_id, f"submission/{handed[0]['id']}"))
        await page.get_by_label("Grade").fill("9.5")
        await page.get_by_label("Feedback").fill("よくできました")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".toast").last).to_contain_text("Saved.")
        graded: dict[str, Any] = (await api.get(f"/submissions/{handed[0]['id']}")).json()
        assert (graded["grade"], graded["feedback"]) == (9.5, "よくできました")
        await page.get_by_role("link", name="Next without a grade").click()
        await expect(page).to_have_url(re.compile(f"submission/{handed[1]['id']}$"))
        await page.get_by_role("link", name="Manage").first.click()
        await expect(page.locator(".assignments .card")).to_contain_text("2 submissions, 1 graded")
        await page.goto(at(school, class_id))
        await expect(tile(page, "次郎")).to_contain_text("班1")


async def test_a_class_and_its_assignments_are_changed_and_deleted(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    kept = await create_assignment(
        api, class_id=class_id, title="kept", due_date="2030-04-01T03:00:00Z"
    )
    await create_assignment(api, class_id=class_id, title="gone")
    handed = await create(api, "/submissions", assignment_id=kept["id"], student_id=student)
    async with open_tab(browser, at(school, class_id, "manage")) as page:
        asked = page.get_by_role("dialog")

        async def delete(title: str) -> None:
            card = page.locator(".assignments .card").filter(has_text=title)
            await card.get_by_text("Change").click()
            await card.get_by_role("button", name="Delete the assignment").click()
            await asked.get_by_role("button", name="Delete").click()

        await delete("gone")
        await expect(page.locator(".assignments .card")).to_have_count(1)
        await delete("kept")
        await expect(asked).to_contain_text("Students have handed something in.")
        await page.keyboard.press("Escape")
        card = page.locator(".assignments .card")
        await card.get_by_label("Title").fill("変更後")
        await card.get_by_label("Points").fill("20")
        await card.get_by_role("button", name="Save").click()
        await expect(card).to_contain_text("変更後")
        changed = (await api.get(f"/assignments/{kept['id']}")).json()
        assert (changed["title"], changed["points"]) == ("変更後", 20)
        assert changed["due_date"] == kept["due_date"]
        await page.get_by_role("button", name="Delete the class").click()
        await asked.get_by_role("button", name="Delete").click()
        await expect(asked).to_contain_text("Delete them first, or put the class away")
        await asked.get_by_role("button", name="Cancel").click()
        this = page.locator("form").filter(has=page.get_by_label("In use"))
        await this.get_by_label("Name").fill("物理")
        await this.get_by_label("In use").uncheck()
        await this.get_by_role("button", name="Save").click()
        await expect(page.locator("header select")).to_contain_text("物理 (put away)")
        found = (await api.get(f"/classes/{class_id}")).json()
        assert (found["name"], found["is_active"]) == ("物理", False)
        await api.delete(f"/submissions/{handed['id']}")
        await api.delete(f"/assignments/{kept['id']}")
        await page.get_by_role("button", name="Delete the class").click()
        await asked.get_by_role("button", name="Delete").click()
        await expect(page.locator("header select")).not_to_contain_text("物理")
        assert (await api.get(f"/classes/{class_id}")).status_code == 404


async def test_people_are_taken_off_and_given_roles(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with open_tab(browser, at(school, class_id, "manage")) as page:
        row = page.locator(".people tbody tr")
        await row.filter(has_text=one).get_by_role("combobox").select_option("Assistant")
        await expect(row.filter(has_text=one).get_by_role("combobox")).to_have_value("assistant")
        await page.get_by_role("button", name=f"Remove {two}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(row).to_have_count(1)
        roster = (await api.get(f"/classes/{class_id}/students")).json()
        assert [(each["user_id"], each["role"]) for each in roster] == [(one, "assistant")]


async def test_a_notebook_that_was_handed_in_is_rendered_without_danger(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    sources = [
        "# 見出し\n\n**太字** [危険](javascript:alert(1)) ![絵](https://evil.example/x.png)",
        f"{HOSTILE}\n\n[text](data:text/html;base64,PHNjcmlwdD4=)",
    ]
    cells = [
        {"cell_type": "markdown", "id": f"c{n}", "metadata": {}, "source": source}
        for n, source in enumerate(sources)
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    handed = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=content
    )
    async with open_tab(browser, at(school, class_id, f"submission/{handed['id']}")) as page:
        shown = page.locator(".markdown")
        await expect(shown.first.get_by_role("heading", name="見出し")).to_be_visible()
        await expect(shown.first.locator("strong")).to_have_text("太字")
        await expect(shown.last).to_contain_text("<script>alert(2)</script>")
        assert await shown.locator("img, script, [onerror], a[href]").count() == 0
        await page.get_by_text("As it was written").first.click()
        await expect(page.locator(".notebook pre").first).to_contain_text("**太字**")


async def test_a_first_start_says_what_to_do(replica: Replica, browser: Browser) -> None:
    async with open_tab(browser, replica.url) as page:
        await expect(page.locator("#view")).to_contain_text(f"curl {replica.events_url}")
        await page.get_by_label("Code").fill("M1")
        await page.get_by_label("Name").fill("数学")
        await page.get_by_role("button", name="Create").click()
        await expect(page.locator("header select")).to_contain_text("数学")
        await expect(page).to_have_url(f"{replica.url}/#/class/1/manage")


async def test_it_is_found_by_keyboard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, _), _ = await create_class_of(api, "hanako", "taro")
    async with open_tab(browser, at(school, class_id)) as page:
        await live(page)
        await page.get_by_label("Search").focus()
        await page.keyboard.type(user)
        await expect(page.locator(".tile")).to_have_count(1)
        for _ in range(4):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".view h2").first).to_have_text(user)


async def test_where_credentials_are_wanted_it_asks_for_a_token(
    environment: dict[str, str], browser: Browser
) -> None:
    secret = {"JWT_SECRET": SECRET}
    with Replica(environment | secret) as guarded:
        root = token("root", "admin")
        async with client(guarded.url, root) as api:
            class_id = (await create(api, "/classes", name="数学", class_code="M1"))["id"]
        async with open_tab(browser, at(guarded, class_id)) as page:
            asked = page.get_by_role("dialog")
            await asked.get_by_label("Your token").fill("no token")
            await asked.get_by_role("button").click()
            await asked.get_by_label("Your token").fill(root)
            await asked.get_by_role("button").click()
            await live(page)
            await expect(asked).to_have_count(0)


async def test_who_is_in_anothers_class_is_named_and_not_shown(
    guarded_school: Replica, browser: Browser
) -> None:
    names = unique("sensei"), unique("kyoju")
    user = unique("hanako")
    for name in names:
        async with client(guarded_school.url, token(name, "instructor")) as api:
            class_id = (await create(api, "/classes", name="数学", class_code=unique()))["id"]
            await create(api, f"/classes/{class_id}/students", user_id=user)
    async with open_tab(browser, at(guarded_school, class_id, "manage")) as page:
        await page.get_by_role("textbox", name="Your token").fill(token(names[1], "instructor"))
        await page.get_by_role("button", name="Continue").click()
        hint = page.locator(".hint").filter(has_text="another teacher's class")
        await expect(hint).to_contain_text(user)
        await page.goto(at(guarded_school, class_id))
        await live(page)
        await expect(page.locator(".tile")).to_have_count(0)


async def test_tiles_are_filtered_sorted_and_grouped(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "one", "two", "three")
    for user, team in ((one, "班B"), (two, "班A"), (three, "班A")):
        await post_as(school, user, "cell_executed", teamName=team)
    await post_as(school, three, "cell_executed", hasError=True)
    async with open_tab(browser, at(school, class_id)) as page:
        names = page.locator(".tile strong")
        await expect(names).to_have_text([three, one, two])
        await page.get_by_label("Sort by").select_option("Name")
        await expect(names).to_have_text(sorted([one, two, three]))
        await page.get_by_label("By team").check()
        await expect(page.locator("section h2")).to_have_text(["班A", "班B"])
        await expect(page.locator("section").first.locator(".tile")).to_have_count(2)
        await page.get_by_label("Show").select_option("Error")
        await expect(names).to_have_text([three])
        await page.get_by_label("Show").select_option("Everybody")
        await page.get_by_label("Search").fill("班b")
        await expect(names).to_have_text([one])
        await page.get_by_label("Search").fill("nobody at all")
        await expect(page.locator("#view")).to_contain_text("Nobody matches.")


async def test_by_keyboard_a_call_is_taken_and_an_assignment_deleted(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await create_assignment(api, class_id=class_id, title="gone")
    await post_as(school, user, "help")
    async with open_tab(browser, at(school, class_id, "help")) as page:
        await page.get_by_label("Your name").focus()
        await page.keyboard.type("Sato")
        await page.get_by_role("button", name="I go there").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue")).to_contain_text("Sato is there")
        await expect(page.get_by_role("button", name="Resolved")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue .card")).to_have_count(0)
        await expect(page.locator("#view")).to_be_focused()
        await page.goto(at(school, class_id, "manage"))
        await page.locator("summary").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Delete the assignment").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        found = (await Axe().run(page)).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".assignments .card")).to_have_count(0)


async def test_the_focus_stays_where_the_radar_is_renewed(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two")
    failed = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
    await post_as(school, users[0], "cell_executed", **failed)
    async with open_tab(browser, at(school, class_id, "errors")) as page:
        await page.locator(".radar summary").focus()
        await page.keyboard.press("Enter")
        await post_as(school, users[1], "cell_executed", **failed)
        await expect(page.locator(".radar h2")).to_contain_text("2 of 2")
        await expect(page.locator(".radar summary")).to_be_focused()
        await expect(page.locator(".radar pre").last).to_be_visible()
