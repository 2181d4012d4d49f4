"""A tile says how long a cell has been running."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import pass_time, tile, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


async def test_a_tile_follows_a_run(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        what = tile(page, user).locator(".what")
        await post_as(school, user, "cell_execution_start", eventTime=ago(minutes=3))
        await expect(what).to_have_text("Running for 3 min")
        await expect(what).to_have_attribute("title", re.compile("^Running since "))
        await post_as(school, user, "help")
        await expect(what).to_have_text("Calling")
        await expect(tile(page, user)).to_contain_text("Running for 3 min · 0 runs")
        await post_as(school, user, "help_stop")
        await expect(what).to_have_text("Running for 3 min")
        await post_as(school, user, "cell_executed", cellId="before", eventTime=ago(minutes=4))
        await expect(what).to_have_text("Running for 3 min")
        await post_as(school, user, "cell_executed")
        await expect(what).to_have_text("Working")
        await post_as(school, user, "cell_execution_start", cellId="b", eventTime=ago(seconds=40))
        await expect(what).to_have_text(re.compile(r"Running for \d\d s"))
        await post_as(school, user, "kernel_restarted")
        await expect(what).to_have_text("Working")
        await post_as(school, user, "cell_execution_start", cellId="c")
        await expect(what).to_have_text("Working")  # a short run is not worth a word
        await expect(what).to_have_text(re.compile(r"Running for \d+ s"))


@pytest.mark.parametrize(
    ("language", "working", "silent"),
    [
        ("en", "Running for 20 min", "Running for 1 h 2 min, no sign"),
        ("ja", "実行中（20 分）", "実行中（1 時間 2 分）・応答なし"),
    ],
)
async def test_who_waits_for_a_cell_is_idle_after_an_hour(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    language: str,
    working: str,
    silent: str,
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    url = view_url(school, class_id, query=f"?lang={language}")
    async with open_tab(browser, url) as page:
        await post_as(school, user, "cell_execution_start")
        for minutes, state, text in ((20, "active", working), (42, "idle", silent)):
            await pass_time(page, timedelta(minutes=minutes))
            await wait_live(page)
            await expect(tile(page, user)).to_have_attribute("data-state", state)
            await expect(tile(page, user).locator(".what")).to_have_text(text)
            assert await violations(page) == []
