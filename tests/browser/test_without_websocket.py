"""The page where a network lets no WebSocket through, or nothing at all."""

import httpx
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from tests.browser.page import requests_of, view_url
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica
from tests.support.waiting import eventually

SLOW = 30_000  # ms


class Filter:
    """Ends each WebSocket of a page, until it is lifted."""

    def __init__(self) -> None:
        self.lifted = False

    async def apply(self, page: Page) -> None:
        await page.route_web_socket("**/ws**", self._meet)

    async def _meet(self, socket: WebSocketRoute) -> None:
        if self.lifted:
            socket.connect_to_server()
        else:
            await socket.close()


async def test_without_websockets_the_class_is_fetched_again_and_again(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, "about:blank") as page:
        await Filter().apply(page)
        await page.goto(view_url(school, class_id, "help"))
        status = page.locator(".connection")
        await expect(status).to_have_text("Updated every 5 seconds", timeout=SLOW)
        await expect(page.get_by_text("Nobody is calling.")).to_be_visible()
        await post_as(school, user, "help")
        await expect(page.locator(".queue h2")).to_have_text(user, timeout=SLOW)
        await page.context.set_offline(True)
        await expect(status).to_have_text("Connection lost, reconnecting…", timeout=SLOW)
        await expect(page.locator(".queue h2")).to_have_count(0, timeout=2 * SLOW)  # it has ended
        await expect(page.get_by_text("Calls can't be checked right now")).to_be_visible()
        await page.context.set_offline(False)
        await expect(status).to_have_text("Updated every 5 seconds", timeout=SLOW)


async def test_live_updates_take_over_when_they_are_possible(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, "about:blank") as page:
        network = Filter()
        await network.apply(page)
        await page.goto(view_url(school, class_id))
        status = page.locator(".connection")
        await expect(status).to_have_text("Updated every 5 seconds", timeout=SLOW)
        network.lifted = True
        await expect(status).to_have_text("Live", timeout=SLOW)


async def test_a_teacher_who_polls_says_at_intervals_that_they_are_here(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, "about:blank") as page:
        await Filter().apply(page)
        signs, fetches = (
            requests_of(page, f"/classes/{class_id}/{what}") for what in ("duties", "now")
        )
        await page.goto(view_url(school, class_id, "help"))
        await eventually(lambda: len(fetches) >= 4, within=60)
        assert len(signs) <= 2
