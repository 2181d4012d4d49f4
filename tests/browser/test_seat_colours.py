"""States of a seat that a washed-out projector must tell apart: by luminance, in both themes."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import seat, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import act_on_help, create_class_of
from tests.support.replicas import Replica

LEAST = 3.0  # contrast of two parts of a picture: WCAG 2.2, 1.4.11
# Of each seat: its surface, what shows through included, its border, and the text on it; 0 to 255.
COLOURS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const surface = (element) => {
    const colour = rgb(getComputedStyle(element).backgroundColor);
    const isClear = colour.length > 3 && colour[3] === 0;
    return isClear ? surface(element.parentElement) : colour.slice(0, 3);
  };
  const seats = [...document.querySelectorAll(".seats .seat[data-state]")];
  return Object.fromEntries(seats.map((seat) => {
    const { borderTopColor, color } = getComputedStyle(seat);
    const name = seat.classList.contains("is-taken") ? "taken" : seat.dataset.state;
    return [name, { surface: surface(seat), border: rgb(borderTopColor), text: rgb(color) }];
  }));
}"""


def luminance(colour: list[float]) -> float:
    """Relative, of sRGB from 0 to 255."""
    red, green, blue = (
        part / 12.92 if (part := each / 255) <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for each in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_calls_stuck_and_the_others_differ_in_luminance(
    school: Replica, api: httpx.AsyncClient, browser: Browser, theme: Any
) -> None:
    names = ("calls", "is_taken", "stuck", "fails", "works", "absent")
    class_id, users, ids = await create_class_of(api, *names)
    calls, taken, stuck, fails, works, _ = users
    for user in (calls, taken):
        await post_as(school, user, "help")
    await act_on_help(api, class_id, ids[1], "take", "Sato")
    for user, errors in ((stuck, 3), (fails, 1)):
        for _ in range(errors):
            await post_as(school, user, "cell_executed", hasError=True)
    await post_as(school, works, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "lesson"), color_scheme=theme) as page:
        await wait_live(page)
        await expect(seat(page, stuck)).to_have_attribute("data-state", "stuck")
        colours = await page.evaluate(COLOURS)
    assert colours.keys() == {"help", "taken", "stuck", "error", "active", "absent"}
    filled = colours.pop("help")
    for state, each in colours.items():
        assert contrast(filled["surface"], each["surface"]) >= LEAST, state
    for outlined in ("stuck", "taken"):
        border = colours[outlined]["border"]
        assert contrast(border, colours[outlined]["surface"]) >= LEAST, outlined
        for state in ("error", "active", "absent"):
            assert contrast(border, colours[state]["border"]) >= LEAST, (outlined, state)
    assert contrast(filled["text"], filled["surface"]) >= 4.5
