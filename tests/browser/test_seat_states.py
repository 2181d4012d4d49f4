"""Each state of a seat, reached by what its student does and by the time that passes then."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from playwright.async_api import Browser, Page, expect

from tests.browser.page import pass_time, seat, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_assignment, create_class_of, unique
from tests.support.replicas import Replica


def ago(**time: float) -> dict[str, str]:
    return {"eventTime": (datetime.now(UTC) - timedelta(**time)).isoformat()}


async def expect_states(page: Page, states: dict[str, str]) -> None:
    for user, state in states.items():
        await expect(seat(page, user)).to_have_attribute("data-state", state)


async def test_stuck_is_three_in_a_row_or_long_without_a_success(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (three, slow, short, solved), _ = await create_class_of(
        api, "three", "slow", "short", "solved"
    )
    failed: dict[str, Any] = {"hasError": True}
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await post_as(school, slow, "cell_executed", **failed, **ago(minutes=6))
        await post_as(school, short, "cell_executed", **failed, **ago(minutes=4))
        await post_as(school, solved, "cell_executed", **failed, **ago(minutes=6))
        for _ in range(2):
            await post_as(school, three, "cell_executed", **failed)
        await expect_states(page, {three: "error", slow: "stuck", short: "error"})
        await expect(seat(page, slow)).to_contain_text("×1 · 6 min")
        await post_as(school, three, "cell_executed", **failed)
        await post_as(school, solved, "cell_executed")
        now = {three: "stuck", slow: "stuck", short: "error", solved: "active"}
        await expect_states(page, now)
        await page.reload()
        await expect_states(page, now)
        await pass_time(page, timedelta(seconds=80))  # nobody has done anything since
        await expect_states(page, {short: "stuck"})
        await post_as(school, slow, "cell_executed")
        await expect_states(page, {slow: "active"})


async def test_who_runs_nothing_reads_then_is_idle_then_gone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (never, runs, reads, hands, through), ids = await create_class_of(
        api, "never", "runs", "reads", "hands", "through"
    )
    code = (await api.get(f"/classes/{class_id}")).json()["class_code"]
    path = unique("a") + ".ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    assignment = await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    where = {"classCode": code, "notebookPath": path}
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await post_as(school, runs, "cell_executed", **where)
        await post_as(school, reads, "cell_executed", **where, **ago(minutes=3))
        await post_as(school, reads, "notebook_saved", **where)
        for user in (hands, through):
            for cell in ("cell-1", "cell-2"):
                await post_as(school, user, "cell_executed", cellId=cell, **where)
        await create(api, "/submissions", assignment_id=assignment["id"], student_id=ids[3])
        now = {never: "absent", runs: "active", reads: "reading", hands: "finished"}
        await expect_states(page, now | {through: "active"})
        await expect(seat(page, through)).to_contain_text("2/2")
        await pass_time(page, timedelta(minutes=3))
        later = {never: "absent", runs: "reading", hands: "finished", through: "finished"}
        await expect_states(page, later)
        for user, word in ((hands, "Handed in"), (through, "Finished")):
            assert word in (await seat(page, user).locator("a").get_attribute("aria-label") or "")
        await pass_time(page, timedelta(minutes=3))
        await expect_states(page, later | {runs: "idle", reads: "idle"})
        await expect(seat(page, runs)).to_contain_text("6 min")
        await expect(page.locator(".present")).to_have_text("4 of 5 here")
        await pass_time(page, timedelta(hours=3))
        await expect_states(page, dict.fromkeys((never, runs, reads, hands, through), "absent"))
        await expect(page.locator(".present")).to_have_text("0 of 5 here")


async def test_a_call_goes_from_calling_to_settled(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "calls", "stops")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        for each in (user, other):
            await post_as(school, each, "cell_executed")
            await post_as(school, each, "help")
        await expect_states(page, {user: "help", other: "help"})
        await expect(seat(page, user)).to_contain_text(re.compile(r"① 0:\d\d"))
        await post_as(school, other, "help_stop")
        await expect_states(page, {other: "active"})
        await page.get_by_label("Your name").fill("Sato")
        await page.get_by_role("button", name="Take it").click()
        await expect_states(page, {user: "help"})
        await expect(seat(page, user)).to_contain_text("Being helped")
        await page.get_by_role("button", name="Mark settled").click()
        await expect_states(page, {user: "active"})
