"""A minute of the demo's lesson, on the page: everything changes, and no seat moves."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.async_api import Browser, expect

from tests.browser.page import view_url, wait_live
from tests.support.browser import open_tab
from tests.support.paths import ROOT
from tests.support.replicas import Replica

SECONDS = 60
STUDENTS = 38
# Each seat's box by its student, whichever filters are in the link.
LOOK = """() => Object.fromEntries([...document.querySelectorAll('.seats .seat a')].map((link) => {
  const student = /student\\/\\d+/.exec(link.href)[0];
  const {left, top, width, height} = link.getBoundingClientRect();
  return [student, {box: [left, top, width, height], state: link.closest('.seat').dataset.state}];
}))"""


@contextmanager
def demo(replica: Replica) -> Iterator[int]:
    """The class of a demo that goes on."""
    script = str(ROOT / "scripts" / "demo.py")
    command = [sys.executable, script, "--url", f"{replica.url}/api/v1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            began = re.search(r"Class (\d+) is working", process.stdout.readline())
            assert began
            yield int(began[1])
        finally:
            process.terminate()


async def test_no_seat_moves_in_a_minute_of_the_demo(school: Replica, browser: Browser) -> None:
    with demo(school) as class_id:
        async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
            await page.set_viewport_size({"width": 1280, "height": 720})
            await wait_live(page)
            await expect(page.locator(".seats .seat a")).to_have_count(STUDENTS)
            await expect(page.locator(".seats .desk")).to_be_visible()  # the room was fetched
            first = before = await page.evaluate(LOOK)
            changes = 0
            for _ in range(SECONDS):
                await page.wait_for_timeout(1_000)
                now = await page.evaluate(LOOK)
                assert {each: now[each]["box"] for each in now} == {
                    each: first[each]["box"] for each in first
                }
                changes += sum(now[each]["state"] != before[each]["state"] for each in now)
                before = now
    assert changes >= 5  # it was a lesson
