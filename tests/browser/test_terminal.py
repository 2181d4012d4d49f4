"""Output and errors as the page shows them: what a terminal would show."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import view_url
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

RUN = "async ([name, text]) => (await import('/page/terminal.js'))[name](text)"
BAR = "\r 10%|#         | 1/10\r 50%|#####     | 5/10\r100%|##########| 10/10"


@pytest.fixture(scope="module")
async def page(school: Replica, browser: Browser) -> AsyncIterator[Page]:
    async with open_tab(browser, school.url) as page:
        yield page


async def shown(page: Page, text: str, name: str = "terminalText") -> Any:
    return await page.evaluate(RUN, [name, text])


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain\n\ttext  ", "plain\n\ttext  "),
        ("", ""),
        ("\x1b[0;31mNameError\x1b[0m: name 'x'", "NameError: name 'x'"),
        ("\x1b[38;5;196ma\x1b[m\x1b[48:2:1:2:3mb\x9b0mc", "abc"),
        ("\x1b]0;title\x07a", "a"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;without an end\na", "\na"),
        ("\x1b(Ba\x1b=b\x1b7c\x1b", "abc"),
        ("\x1b[?25la\x1b[?25h", "a"),
        (BAR, "100%|##########| 10/10"),
        ("abcdef\rxy", "xycdef"),
        ("abcdef\r\x1b[Kxy", "xy"),
        ("abcdef\x1b[2K\rxy", "xy"),
        ("abc\b\bX", "aXc"),
        ("one\r\ntwo\r\r\nthree\n", "one\ntwo\nthree\n"),
        ("one\ntwo\x1b[1A\rONE", "ONE\ntwo"),
        ("a\nb\x1b[2J\x1b[Hc", "c"),
        ("a\x1b[3Cb", "a   b"),
        ("a\x1b[5Gb", "a   b"),
        ("学習中: 10%\r学習中: 20%", "学習中: 20%"),
        ("🙂🙂\r👍", "👍🙂"),
        ("a\x00b\x07c\x7f", "abc"),
        ("\\x1b[0;31mNameError\\x1b[0m: x", "NameError: x"),
        ("\\u001b[1ma\\u001b[22m ^[[1mb^[[0m", "a b"),
        ("[0;31mNameError[0m: x", "NameError: x"),
        ("x = y[0m", "x = y[0m"),
    ],
)
async def test_text_is_what_a_terminal_would_show(page: Page, text: str, result: str) -> None:
    assert await shown(page, text) == result


@pytest.mark.parametrize(
    "part",
    ["\x1b", "\x1b[", "\x1b]", "\r", "\b", "\x1b[A", "\n\x1b[999Cx", "\x1b[0m", "[0m", "a\r"],
)
async def test_hostile_text_costs_little(page: Page, part: str) -> None:
    text = part * (1_000_000 // len(part))
    start = time.monotonic()
    length = len(await shown(page, text))
    assert time.monotonic() - start < 5
    assert length < 15 * len(text)


async def test_the_first_line_of_an_error_says_something(page: Page) -> None:
    error = "\x1b[31m---------\x1b[0m\n\n\x1b[31mNameError\x1b[0m  Traceback\n"
    assert await shown(page, error, "firstLine") == "NameError  Traceback"


async def test_every_view_shows_errors_and_output_as_a_terminal_would(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student_id,) = await create_class_of(api, "one")
    error = "\x1b[0;31mKeyError\x1b[0m: 'x'"
    await post_as(
        school, user, "cell_executed", hasError=True, errorMessage=error, result=BAR, code="d\r"
    )
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, f"student/{student_id}")) as tab:
        await expect(tab.locator("pre.error").first).to_have_text("KeyError: 'x'")
        await expect(tab.locator("pre.output")).to_have_text("100%|##########| 10/10")
    async with open_tab(browser, view_url(school, class_id, "help")) as tab:
        await expect(tab.locator("summary")).to_have_text("Last error: KeyError: 'x'")
        await expect(tab.locator("pre.error")).to_have_text("KeyError: 'x'")
    async with open_tab(browser, view_url(school, class_id, "errors")) as tab:
        await expect(tab.locator("pre.error")).to_have_text("KeyError: 'x'")
