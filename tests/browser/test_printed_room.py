"""The room on paper: who sits where, on one sheet, without what is old when it is read."""

import re

import httpx
import pytest
from playwright.async_api import Browser, ViewportSize, expect

from tests.browser.page import seat, view_url, wait_live
from tests.browser.test_lesson import sit
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

LANDSCAPE = ViewportSize(width=1047, height=718)  # A4 less its margins, in CSS pixels
# Visible texts, and whether all seats are black on white and as high as a name.
ON_PAPER = """() => {
  const seats = [...document.querySelectorAll(":is(.room-editor, .pane-seats) .seat")]
    .filter((seat) => seat.checkVisibility({ visibilityProperty: true }));
  const isPlain = (seat) => {
    const { backgroundColor, color } = getComputedStyle(seat);
    return backgroundColor === "rgb(255, 255, 255)" && color === "rgb(0, 0, 0)";
  };
  const paper = document.querySelector(".room-editor") ?? document.querySelector(".pane-seats");
  const { bottom, right } = paper.getBoundingClientRect();
  return {
    seats: seats.length,
    plain: seats.every(isPlain),
    height: Math.min(...seats.map((seat) => seat.offsetHeight)),
    bottom,
    right,
  };
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", ["lesson", "editor"])
async def test_the_room_is_printed_on_one_sheet(
    school: Replica, api: httpx.AsyncClient, browser: Browser, place: str, theme: str
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(41)))
    await sit(api, class_id, ids[:40], 8)
    await post_as(school, users[0], "help")
    tab = open_tab(browser, view_url(school, class_id, "lesson"), color_scheme=theme)
    async with tab as page:
        await wait_live(page)
        await expect(seat(page, users[0])).to_contain_text("①")
        if place == "editor":
            await page.get_by_role("button", name="Arrange seats").click()
            await expect(page.locator(".room-editor .seat")).to_have_count(40)
        await page.set_viewport_size(LANDSCAPE)
        await page.emulate_media(media="print")
        paper = await page.evaluate(ON_PAPER)
        assert paper["plain"]
        assert paper["seats"] >= 40
        assert paper["height"] >= 30
        assert paper["bottom"] <= LANDSCAPE["height"]
        assert paper["right"] <= LANDSCAPE["width"]
        texts = await page.locator("body").inner_text()
        assert "数学" in texts
        assert all(user in texts for user in users)  # who has no seat, too
        for screen_only in ("①", "Projector", "Calls", "Save", "Menu"):
            assert screen_only not in texts
        sheets = await page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheets)) == 1
