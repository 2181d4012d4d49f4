"""What a live message changes on a tile, and what it leaves alone."""

import re
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import requests_of, tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post_as
from tests.support.lms import create_class, create_class_of
from tests.support.replicas import Replica
from tests.support.tokens import client, token


async def test_a_new_name_and_team_are_shown_at_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await expect(page.locator(".tile strong")).to_have_text(user)
        fetches = requests_of(page, "/now?")
        await post_as(school, user, "help", userName="山田 花子", teamName="班A")
        await expect(page.locator(".tile strong")).to_have_text("山田 花子")
        await expect(page.locator(".tile .team")).to_have_text("班A")
        await post_as(school, user, "help", userName="佐藤 花子", teamName="班B")
        await expect(page.locator(".tile strong")).to_have_text("佐藤 花子")
        await expect(page.locator(".tile .team")).to_have_text("班B")
        await post_as(school, user, "cell_executed", userName="\u200b \u3000", teamName="\u2060")
        await expect(page.locator(".tile strong")).to_have_text(user)
        await expect(page.locator(".tile .team")).to_have_text("")
        await page.goto(view_url(school, class_id, "help"))
        await expect(page.locator(".queue h2")).to_have_text(user)
        assert fetches == []
        await page.reload()
        await expect(page.locator(".queue h2")).to_have_text(user)


async def test_rendering_markdown_moves_the_student_and_is_no_run(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        hanako = tile(page, user)
        for _ in range(4):
            await post_as(school, user, "cell_executed", hasError=True)
        await expect(hanako).to_contain_text("4 errors in a row")
        text = {"cellType": "markdown", "cellId": "text", "cellIndex": 6}
        await post_as(school, user, "cell_executed", **text)
        await expect(hanako).to_contain_text("cell 7")
        await expect(hanako).to_have_attribute("data-state", "stuck")
        await expect(hanako).to_contain_text("4 runs · 4 errors in a row")
        await page.goto(view_url(school, class_id, f"student/{student}"))
        await expect(page.locator(".runs .card").first).to_contain_text("Markdown rendered")


async def test_totals_add_what_was_done_in_no_class(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    one, two = [await create_class(api) for _ in range(2)]
    _, (user,), (student,) = await create_class_of(api, "hanako")
    for each in (one, two):
        await api.post(f"/classes/{each['id']}/students", json={"student_id": student})
    await post_as(school, user, "cell_executed")
    await post_as(school, user, "cell_executed", classCode=one["class_code"])
    async with open_tab(browser, view_url(school, one["id"])) as page:
        await wait_live(page)
        hanako = tile(page, user)
        await expect(hanako).to_contain_text("2 runs")
        fetches = requests_of(page, "/now?")
        for runs in (3, 4, 5):
            await post_as(school, user, "cell_executed")
            await expect(hanako).to_contain_text(f"{runs} runs")
        for runs in (6, 7):
            await post_as(school, user, "cell_executed", classCode=one["class_code"], hasError=True)
            await expect(hanako).to_contain_text(f"{runs} runs")
        await expect(hanako).to_contain_text("2 errors in a row")
        named = {"classCode": two["class_code"], "userName": "別の名前", "cellIndex": 8}
        await post_as(school, user, "cell_executed", **named)
        await post_as(school, user, "help_stop", cellId="c9", cellIndex=3)
        await expect(hanako).to_contain_text("cell 4")
        await expect(hanako).to_contain_text("7 runs · 2 errors in a row")
        await expect(page.locator(".tile strong")).to_have_text(user)
        assert fetches == []
        await page.reload()
        await expect(hanako).to_contain_text("7 runs · 2 errors in a row")


async def test_an_old_success_does_not_end_the_errors_since(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        for _ in range(2):
            await post_as(school, user, "cell_executed", hasError=True)
        hanako = tile(page, user)
        await expect(hanako).to_contain_text("2 errors in a row")
        before = datetime.now(UTC) - timedelta(hours=1)
        succeeded, failed = before.isoformat(), (before + timedelta(seconds=9)).isoformat()
        await post_as(school, user, "cell_executed", eventTime=succeeded, cellIndex=8)
        await expect(hanako).to_contain_text("3 runs · 2 errors in a row")
        await expect(hanako).to_contain_text("cell 1")
        for _ in range(2):
            await post_as(school, user, "cell_executed", eventTime=failed, hasError=True)
        await expect(hanako).to_contain_text("5 runs · 4 errors in a row")


async def test_verified_students_are_marked(guarded_school: Replica, browser: Browser) -> None:
    teacher = token("sensei", "instructor")
    async with client(guarded_school.url, teacher) as api:
        class_id, (one, two), _ = await create_class_of(api, "one", "two")
    url = f"{guarded_school.url}/#token={teacher}&to=/class/{class_id}/students"
    async with open_tab(browser, url) as page:
        await wait_live(page)
        mark = page.get_by_role("img", name="verified", exact=True)
        who = tile(page, one).locator(".who")
        await expect(who).to_have_attribute("title", re.compile("^Not verified"))
        await expect(mark).to_have_count(0)
        async with client(guarded_school.url, token(one)) as student:
            answer = await student.post("/events", json=[event(userId=one)])
            assert answer.status_code == 202, answer.text
        await expect(tile(page, one).get_by_role("img", name="verified")).to_be_visible()
        await expect(mark).to_have_count(1)
        await page.reload()
        await expect(tile(page, one).get_by_role("img", name="verified")).to_be_visible()
        await expect(tile(page, two)).to_be_visible()
        await expect(mark).to_have_count(1)
