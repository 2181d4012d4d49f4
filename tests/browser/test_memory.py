"""What the page keeps has a bound, however long a day and however many its students and cells."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import seat, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post
from tests.support.lms import create_class_of
from tests.support.replicas import Replica
from tests.support.waiting import eventually

ELEMENTS = "document.querySelectorAll('*').length"
# Which of 10,000 cells still have the name that an answer said, and which are asked for again.
CELLS = """async () => {
  const { CellNames } = await import("/page/cell-names.js");
  const names = new CellNames();
  const cell = (number, cell_title) =>
    ({ notebook_path: "a.ipynb", cell_id: `c${number}`, cell_title, cell_heading: null });
  for (let number = 0; number < 10_000; number += 1) names.learn([cell(number, `title ${number}`)]);
  for (let number = 0; number < 10_000; number += 1) names.give(cell(`unknown ${number}`, null));
  const named = (number) => {
    const place = cell(number, null);
    names.give(place);
    return place.cell_title;
  };
  const asked = (number) => names.give(cell(`unknown ${number}`, null));
  return [named(0), named(9_999), asked(9_999), asked(0)];
}"""
# Whether who was met first, and last, of 10,000 is looked for again.
STRANGERS = """async () => {
  const { Strangers } = await import("/page/strangers.js");
  const strangers = new Strangers();
  for (let number = 0; number < 10_000; number += 1) strangers.meet(`s${number}`);
  return [strangers.meet("s9999"), strangers.meet("s0")];
}"""
# Whether a heartbeat opens a call: of who stays in the class, and of who has left it meanwhile.
CALLS = """async () => {
  const { Calls } = await import("/page/calls.js");
  const { serverNow } = await import("/page/clock.js");
  const calls = new Calls();
  const students = ["stays", "left"].map((user_id, student_id) => ({ user_id, student_id }));
  const opens = (student) => {
    calls.hear(student, serverNow());
    return calls.open.delete(student.user_id);
  };
  const first = students.map(opens);
  calls.know(students.slice(0, 1));
  return [...first, ...students.map(opens)];
}"""


async def test_what_the_store_remembers_has_a_bound(school: Replica, browser: Browser) -> None:
    async with open_tab(browser, school.url) as page:
        assert await page.evaluate(CELLS) == [None, "title 9999", False, True]
        assert await page.evaluate(STRANGERS) == [False, True]
        assert await page.evaluate(CALLS) == [True, True, False, True]


async def test_a_lesson_adds_no_elements(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{n}" for n in range(20)))

    async def teach(rounds: int) -> None:
        for number in range(rounds):
            kinds = ("help", "help_stop", "cell_executed", "cell_executed")
            events = [
                event(userId=user, eventType=kind, hasError=number % 2 > 0, cellId=f"c{number}")
                for user in users
                for kind in kinds
            ]
            await post(school, *events)
        await post(school, *(event(userId=user, cellId="last") for user in users))
        await expect(page.locator(".seat[data-state=active]")).to_have_count(20)

    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(seat(page, users[0])).to_be_visible()
        await teach(2)
        before = await page.evaluate(ELEMENTS)
        await teach(20)
        most = before + 10  # that are announced
        await eventually(lambda: page.evaluate(ELEMENTS), lambda number: number <= most)
