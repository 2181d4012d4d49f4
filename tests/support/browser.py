"""A real browser for the page's tests."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.programs import find_chromium, find_node

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT = 10_000  # ms

expect.set_options(timeout=TIMEOUT)


@asynccontextmanager
async def launch_chromium() -> AsyncIterator[Browser]:
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = find_node()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_tab(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """The page, as a new visitor has it. Fails if a script fails or the policy stops something."""
    visitor = await browser.new_context(**{"locale": "en-US"} | context)
    page = await visitor.new_page()
    page.set_default_timeout(TIMEOUT)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda message: troubles.append(message.text) if "Content" in message.text else None,
    )
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    try:
        await page.goto(url)
        yield page
    finally:
        await visitor.close()
    assert troubles == []
