"""The page trusts no clock of its own computer."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

# A computer whose clock can be set while the page is open.
CLOCK = """
    let error = {error}; // ms
    const Right = Date;
    window.Date = class extends Right {{
        constructor(...parts) {{
            super(...(parts.length ? parts : [Right.now() + error]));
        }}
        static now() {{
            return Right.now() + error;
        }}
    }};
    window.setClock = (ms) => (error = ms);
"""
HOURS = 3_600_000  # ms
RECENTLY = re.compile(r"^\d s ago$")


@pytest.mark.parametrize("error", [-9 * HOURS, 9 * HOURS])
async def test_a_wrong_or_jumping_clock_changes_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser, error: int
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "taro")
    await post_as(school, other, "cell_executed")
    async with open_tab(browser, "about:blank") as page:
        await page.add_init_script(CLOCK.format(error=error))
        await page.goto(view_url(school, class_id))
        await wait_live(page)
        await expect(tile(page, other).locator(".heard")).to_have_text(RECENTLY)
        await post_as(school, user, "cell_executed", hasError=True)
        await post_as(school, user, "help")
        await expect(tile(page, user)).to_have_attribute("data-state", "help")
        for jump in (0, -error, 20 * error):
            await page.evaluate("setClock", jump)
            await page.wait_for_timeout(1_500)  # the page looks at the time each second
            await post_as(school, other, "cell_executed")
            await expect(tile(page, user)).to_have_attribute("data-state", "help")
            await expect(tile(page, other)).to_have_attribute("data-state", "active")
            await expect(tile(page, other).locator(".heard")).to_have_text(RECENTLY)
        nav = page.locator("nav")
        await page.goto(view_url(school, class_id, "help"))
        await expect(page.locator(".queue .waiting")).to_have_text(re.compile(r"waiting 0:[0-2]\d"))
        await nav.get_by_role("link", name="Errors").click()
        await expect(page.locator(".radar .card")).to_have_count(1)


async def test_times_of_day_are_of_the_local_zone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    at = datetime.now(UTC) - timedelta(minutes=3)
    await post_as(school, user, "cell_executed", eventTime=at.isoformat())
    url = view_url(school, class_id, f"student/{student}")
    async with open_tab(browser, "about:blank", timezone_id="Asia/Tokyo") as page:
        await page.add_init_script(CLOCK.format(error=9 * HOURS))
        await page.goto(url)
        there = at + timedelta(hours=9)
        await expect(page.locator(".runs .card")).to_contain_text(f"{there:%-I:%M:%S}")
