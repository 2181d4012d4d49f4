"""The pictures of docs/images, from the demo in a real browser: `make screenshots`."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page, ViewportSize

from tests.support.browser import launch_chromium, open_tab
from tests.support.paths import ROOT
from tests.support.replicas import Replica

IMAGES = ROOT / "docs" / "images"
SIZE = ViewportSize(width=1280, height=720)
PHONE = ViewportSize(width=360, height=740)
SETTLE = 1_500  # ms
DEMO_TIME = 25.0  # seconds until some students have asked for help
NO_FONT = "No Japanese font for the pictures: apt-get install fontconfig fonts-noto-cjk"


async def shoot(page: Page, url: str, name: str, view: str) -> None:
    await page.goto(f"{url}#/class/1/{view}")
    await page.wait_for_timeout(SETTLE)
    await page.evaluate("document.getElementById('toasts').replaceChildren(); scrollTo(0, 0)")
    await page.screenshot(path=IMAGES / f"{name}.png")


async def take(replica: Replica) -> None:
    url = f"{replica.url}/"
    async with launch_chromium() as browser, open_tab(browser, replica.url) as page:
        await page.set_viewport_size(SIZE)
        await page.wait_for_timeout(SETTLE)
        await shoot(page, url, "lesson", "lesson")
        await page.locator(".queue .card h2 a").first.click()
        view = page.url.rpartition("#/class/1/")[2]
        await page.get_by_label("Your name").last.fill("Sato")
        await page.locator(".rail-student").get_by_role("button", name="Take it").click()
        await shoot(page, url, "student", view)
        await shoot(page, url, "errors", "errors")
        await shoot(page, url, "notebook", "notebooks")
        await page.goto(f"{url}#/class/1/activity")
        await page.wait_for_timeout(SETTLE)
        await page.get_by_role("slider").press("ArrowLeft")
        await shoot(page, url, "activity", "activity")
        await shoot(page, url, "submission", "submission/1")
        await shoot(page, url, "list", "students")
        await page.goto(f"{url}#/class/1/lesson")
        await page.get_by_role("button", name="Projector").click()
        await shoot(page, url, "projector", "lesson")
    dark = {"locale": "ja-JP", "color_scheme": "dark"}
    async with launch_chromium() as browser, open_tab(browser, replica.url, **dark) as page:
        await page.set_viewport_size(SIZE)
        await shoot(page, url, "lesson-ja-dark", "lesson")
    async with launch_chromium() as browser, open_tab(browser, url, locale="ja-JP") as page:
        await page.set_viewport_size(PHONE)
        await shoot(page, url, "phone-ja", "lesson")


def has_japanese_font() -> bool:
    if not (fonts := shutil.which("fc-list")):
        return False
    return bool(subprocess.run([fonts, ":lang=ja"], capture_output=True, check=True).stdout)


def main() -> None:
    if not has_japanese_font():
        sys.exit(NO_FONT)
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        Path(data).chmod(0o711)  # root runs PostgreSQL as another user
        with Replica({"DATA_DIR": data}) as replica:
            url = f"{replica.url}/api/v1"
            demo = subprocess.Popen([sys.executable, ROOT / "scripts" / "demo.py", "--url", url])
            try:
                time.sleep(DEMO_TIME)
                asyncio.run(take(replica))
            finally:
                demo.terminate()
                demo.wait()


if __name__ == "__main__":
    main()
