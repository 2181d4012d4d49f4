"""The icons of the installed page, drawn from its icon.svg by a real browser: `make icons`."""

import asyncio

from playwright.async_api import Page, ViewportSize

from tests.support.browser import launch_chromium
from tests.support.paths import ROOT

STATIC = ROOT / "monitor" / "static"
BACKGROUND = "#2458c5"  # of icon.svg
PLAIN, SAFE = 1.0, 0.8  # a mask leaves at least the middle 80 % of an icon
ICONS = {
    "icon-192.png": (192, PLAIN),
    "icon-512.png": (512, PLAIN),
    "icon-maskable-512.png": (512, SAFE),
    "icon-apple-180.png": (180, SAFE),
}


async def draw(page: Page, name: str, size: int, share: float) -> None:
    drawing = (STATIC / "icon.svg").read_text()
    background = BACKGROUND if share < PLAIN else "transparent"
    inset = (1 - share) / 2 * size
    await page.set_viewport_size(ViewportSize(width=size, height=size))
    await page.set_content(
        f"<style>body {{ margin: {inset}px; background: {background} }}"
        f" svg {{ display: block; width: {share * size}px }}</style>{drawing}"
    )
    await page.screenshot(path=STATIC / name, omit_background=True)


async def main() -> None:
    async with launch_chromium() as browser:
        page = await browser.new_page()
        for name, (size, share) in ICONS.items():
            await draw(page, name, size, share)


if __name__ == "__main__":
    asyncio.run(main())
