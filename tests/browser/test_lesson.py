"""The lesson on one screen: seats that stay, calls that say how long, a student beside them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.page import hold, seat, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import act_on_help, create, create_assignment, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.waiting import eventually

STATES = ("help", "stuck", "error", "active", "reading", "finished", "idle", "absent")
BOXES = """() => [...document.querySelectorAll('.seats .seat a')].map(seat => {
  const {left, top, right, bottom} = seat.getBoundingClientRect();
  return [left, top, right, bottom];
})"""
PLACES = """() => Object.fromEntries([...document.querySelectorAll('.seats .seat a')].map(seat => {
  const {left, top} = seat.getBoundingClientRect();
  return [seat.querySelector('strong').textContent, [left, top]];
}))"""


async def sit(api: httpx.AsyncClient, class_id: int, ids: list[int], columns: int) -> None:
    """Seats them in rows, with an aisle in the middle."""
    seats = [
        {"student_id": each, "row": 1 + index // columns, "column": 1 + index % columns}
        for index, each in enumerate(ids)
    ]
    rows = -(-len(ids) // columns)
    room = {"rows": rows, "columns": columns, "aisles": [columns // 2], "seats": seats}
    (await api.put(f"/classes/{class_id}/room", json=room)).raise_for_status()


async def wait_to_be_let_in(replica: Replica, api: httpx.AsyncClient, class_id: int) -> None:
    """Somebody whom the class's key alone doesn't let in."""
    (await api.put(f"/classes/{class_id}", json={"join_policy": "approve"})).raise_for_status()
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    async with httpx.AsyncClient(params={"key": key["key"]}) as extension:
        events = [event(userId=unique("waits"))]
        (await extension.post(replica.events_url, json=events)).raise_for_status()


async def overflows(page: Page) -> bool:
    width: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width > 0


@pytest.mark.parametrize(
    ("students", "columns", "size"), [(48, 8, (1280, 720)), (200, 20, (1920, 1080))]
)
@pytest.mark.parametrize("has_room", [True, False])
async def test_the_whole_class_is_in_view(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    students: int,
    columns: int,
    size: tuple[int, int],
    has_room: bool,
) -> None:
    class_id, _, ids = await create_class_of(api, *(f"s{n}" for n in range(students)))
    if has_room:
        await sit(api, class_id, ids, columns)
    await wait_to_be_let_in(school, api, class_id)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        width, height = size
        await page.set_viewport_size({"width": width, "height": height})
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(students)
        await expect(page.locator(".newcomers").filter(has_text="let in")).to_be_in_viewport()
        for view in ("lesson", f"student/{ids[0]}"):
            await page.goto(view_url(school, class_id, view))
            await expect(page.locator(".rail")).to_be_visible()
            strip = await page.locator("#toasts").bounding_box()
            assert strip is not None
            for left, top, right, bottom in await page.evaluate(BOXES):
                assert min(left, top) >= 0
                assert right <= width
                assert bottom <= strip["y"]
                assert min(right - left, bottom - top) >= 40
            assert not await overflows(page)


async def test_no_seat_moves(school: Replica, api: httpx.AsyncClient, browser: Browser) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{n}" for n in range(20)))
    chance = random.Random(1)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(20)
        before = await page.evaluate(PLACES)
        for _ in range(20):
            events = [
                event(
                    userId=user,
                    eventType=chance.choice(["cell_executed", "help", "help_stop"]),
                    hasError=chance.random() < 0.5,
                )
                for user in chance.sample(users, 10)
            ]
            await post(school, *events)
            await page.wait_for_timeout(200)
            assert await page.evaluate(PLACES) == before
        await expect(page.locator('.seat[data-state="absent"]')).to_have_count(0)


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_newcomer_moves_nobody(
    school: Replica, api: httpx.AsyncClient, browser: Browser, has_room: bool
) -> None:
    _, (known,), _ = await create_class_of(api, "known")  # by an id before those of the class
    class_id, users, ids = await create_class_of(api, *("abcdefghi" if has_room else "a"))
    if has_room:
        await sit(api, class_id, ids, 8)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(len(users))
        if has_room:
            await expect(page.locator(".seats .desk")).to_be_visible()  # it was fetched
        before = await page.evaluate(PLACES)
        newcomers = [known, *(unique(f"n{n}") for n in range(7 if has_room else 18))]
        for newcomer in newcomers:
            await api.post(f"/classes/{class_id}/students", json={"user_id": newcomer})
            await post_as(school, newcomer, "cell_executed")
            await expect(seat(page, newcomer)).to_be_visible()
            after = await page.evaluate(PLACES)
            assert {name: after[name] for name in before} == before
            before = after
        assert len(before) == len(users) + len(newcomers)


async def test_few_classes_outgrow_their_width(school: Replica, browser: Browser) -> None:
    widths = """async () => {
      const {planOf, NO_ROOM} = await import('/page/seat-plan.js');
      const classOf = (size) => Array.from({length: size}, (_, index) =>
        ({student_id: index + 1, number: null, seat_row: null, seat_column: null}));
      let plan = null;
      const grown = [1, 48, 49, 80, 81, 120, 121, 200].map((size) => {
        plan = planOf(classOf(size), NO_ROOM, plan);
        return plan.columns;
      });
      const opened = [1, 48, 49, 96, 97, 200].map((size) => planOf(classOf(size), NO_ROOM).columns);
      return [grown, opened];
    }"""
    async with open_tab(browser, school.url) as page:
        grown, opened = await page.evaluate(widths)
    assert grown == [8, 8, 8, 8, 12, 12, 20, 20]
    assert opened == [8, 8, 12, 12, 20, 20]


async def test_who_is_announced_moves_no_seat(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, *(f"s{n}" for n in range(8)))
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.clock.install()
        await page.reload()
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(8)
        before = await page.evaluate(PLACES)
        group = page.locator(".newcomers").filter(has_text="waiting to be let in")
        await expect(group).to_be_hidden()
        await wait_to_be_let_in(school, api, class_id)
        await page.clock.fast_forward(16_000)
        await expect(group).to_be_in_viewport()
        assert await page.evaluate(PLACES) == before


async def test_a_seat_keeps_the_focus_while_the_class_changes(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(4)))
    await sit(api, class_id, ids, 4)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        focused = seat(page, users[1]).locator("a")
        await focused.focus()
        newcomer = unique("newcomer")
        await api.post(f"/classes/{class_id}/students", json={"user_id": newcomer})
        await post_as(school, newcomer, "cell_executed")
        await expect(seat(page, newcomer)).to_be_visible()
        await expect(focused).to_be_focused()
        await sit(api, class_id, ids[::-1], 4)  # somebody else saves
        await expect(focused).to_have_attribute("title", f"{users[1]} · A3")
        await expect(focused).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await expect(seat(page, users[0]).locator("a")).to_be_focused()
        await page.keyboard.press("ArrowDown")
        await expect(seat(page, newcomer).locator("a")).to_be_focused()


async def test_arrow_keys_go_by_the_seats_that_are_shown(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(4)))
    await sit(api, class_id, ids, 4)
    for user in (users[1], users[3]):
        await post_as(school, user, "cell_executed", hasError=True)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.get_by_role("button", name="Error 2").click()
        await expect(page.locator("#announcer")).to_contain_text("2 shown")
        stop = page.locator('.seats a[tabindex="0"]')
        await expect(stop).to_contain_text(users[1])
        await stop.focus()
        await page.keyboard.press("ArrowRight")
        await expect(seat(page, users[3]).locator("a")).to_be_focused()
        await page.keyboard.press("ArrowLeft")
        await expect(seat(page, users[1]).locator("a")).to_be_focused()
        await page.get_by_role("button", name="Show everyone").click()
        await expect(page.locator("#announcer")).to_contain_text("4 shown")
        await seat(page, users[1]).locator("a").focus()
        await page.keyboard.press("ArrowRight")
        await expect(seat(page, users[2]).locator("a")).to_be_focused()


async def top_of(part: Locator) -> float:
    box = await part.bounding_box()
    assert box is not None
    return box["y"]


async def test_those_without_a_seat_stand_below_a_heading(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(5)))
    await sit(api, class_id, ids[:4], 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        first, last, stands = (seat(page, users[n]) for n in (0, 3, 4))
        desk = page.locator(".seats .desk")
        heading = page.get_by_role("rowheader", name="Without a seat")
        await expect(heading).to_be_visible()  # the room was fetched
        tops = [await top_of(each) for each in (desk, first, last, heading, stands)]
        assert tops == sorted(set(tops))
        await page.get_by_role("button", name="Seen from the desk").click()
        tops = [await top_of(each) for each in (last, first, desk, heading, stands)]
        assert tops == sorted(set(tops))
        await sit(api, class_id, ids, 2)
        await expect(heading).to_have_count(0)


async def test_a_seat_has_a_word_where_there_is_room(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (works, fails), _ = await create_class_of(api, "works", "fails")
    await post_as(school, works, "cell_executed")
    await post_as(school, fails, "cell_executed", hasError=True)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.set_viewport_size({"width": 1280, "height": 720})
        await wait_live(page)
        await expect(seat(page, works).get_by_text("Working")).to_be_visible()
        await expect(seat(page, fails).get_by_text("Error")).to_be_visible()
        await page.set_viewport_size({"width": 1000, "height": 720})
        await expect(seat(page, works).get_by_text("Working")).to_be_hidden()


async def test_a_seat_says_whether_its_student_can_go_on(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    names = ("never", "runs", "fails", "stuck", "calls", "hands", "reads")
    class_id, users, ids = await create_class_of(api, *names)
    never, runs, fails, stuck, calls, hands, reads = users
    code = (await api.get(f"/classes/{class_id}")).json()["class_code"]
    path = unique("a") + ".ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    assignment = await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    where = {"classCode": code, "notebookPath": path}

    async def expect_states(page: Page, states: dict[str, str]) -> None:
        for user, state in states.items():
            await expect(seat(page, user)).to_have_attribute("data-state", state)

    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect_states(page, dict.fromkeys(users, "absent"))
        await post_as(school, runs, "cell_executed", **where)
        for user, errors in ((fails, 1), (stuck, 3)):
            for _ in range(errors):
                await post_as(school, user, "cell_executed", hasError=True, **where)
        await post_as(school, calls, "help", **where)
        await post_as(school, hands, "cell_executed", **where)
        await create(api, "/submissions", assignment_id=assignment["id"], student_id=ids[5])
        await post_as(school, reads, "notebook_opened", **where)
        now = {never: "absent", runs: "active", fails: "error", stuck: "stuck"}
        await expect_states(page, now | {calls: "help", hands: "finished", reads: "reading"})
        await expect(seat(page, runs)).to_contain_text("1/1")
        await expect(seat(page, stuck)).to_contain_text("×3")
        await expect(page.locator(".present")).to_have_text("6 of 7 here")
        labels = [
            await seat(page, user).locator("a").get_attribute("aria-label") or "" for user in users
        ]
        words = ("Not connected", "Working", "Error", "Stuck", "Calling · call 1")
        for label, word in zip(labels, words, strict=False):
            assert word in label


async def test_stuck_are_minutes_at_one_cell(school: Replica, browser: Browser) -> None:
    states = """async () => {
      const {toStudent, update, withStuck} = await import('/page/states.js');
      const start = Date.now();
      const rule = {stuck_errors: 9, stuck_minutes: 5};
      const fetched = {
        last_heard_at: new Date(start).toISOString(), last_run_at: null, failing_since: null,
        running_since: null, errors_in_a_row: 0, executions: 0, errors: 0,
        executions_in_no_class: 0, errors_in_no_class: 0,
      };
      let executions = 0;
      const run = (student, minute, cellId, status) => {
        executions += 1;
        const at = start + 60_000 * minute;
        const data = {classId: 1, executions, errors: 0, status, cellId};
        update(student, data, at);
        return withStuck(student.errors_in_a_row ? 'error' : 'active', student, rule, at);
      };
      const moves = toStudent(fetched);
      const stays = toStudent(fetched);
      const found = [
        run(moves, 0, 'c1', 'error'), run(moves, 6, 'c2', 'error'),
        run(stays, 0, 'c1', 'error'), run(stays, 3, 'imports', 'success'),
        run(stays, 6, 'c1', 'error'),
      ];
      const since = new Date(start).toISOString();
      const failing = {failing_since: since, failing_cell_id: 'c1', last_run_at: since};
      const again = toStudent({...fetched, ...failing, errors_in_a_row: 1});
      return [...found, run(again, 7, 'c1', 'error'), run(again, 300, 'c1', 'error')];
    }"""
    async with open_tab(browser, school.url) as page:
        found = await page.evaluate(states)
    assert found == ["error", "error", "error", "active", "stuck", "stuck", "error"]


async def test_calls_of_others_are_dimmed_on_the_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "theirs", "mine")
    rows = [{"user_id": user, "team": team} for user, team in zip(users, "AB", strict=True)]
    await api.post(f"/classes/{class_id}/students", json=rows)
    for name, team in (("Suzuki", "A"), ("Sato", "B")):
        duty = {"name": name, "teams": [team]}
        (await api.put(f"/classes/{class_id}/duties", json=duty)).raise_for_status()
    for user in users:
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.evaluate("localStorage.setItem('name', 'Sato')")
        await page.reload()
        await wait_live(page)
        theirs, mine = (seat(page, user) for user in users)
        await expect(theirs).to_have_class("seat is-of-others")
        await expect(mine).to_have_class("seat")
        label = await theirs.locator("a").get_attribute("aria-label") or ""
        assert "call 2 · in another teacher's part" in label
        fill = "element => getComputedStyle(element).backgroundColor"
        assert await theirs.evaluate(fill) != await mine.evaluate(fill)
        await page.clock.install()
        await page.reload()
        await wait_live(page)
        await expect(theirs).to_have_class("seat is-of-others")
        duty = {"name": "Suzuki", "teams": ["B"]}
        (await api.put(f"/classes/{class_id}/duties", json=duty)).raise_for_status()
        await expect(theirs).to_have_class("seat")


# Of each seat: its progress, if it is seen below or beside the state, or the length of the bar.
PROGRESS = """() => [...document.querySelectorAll('.seats .seat[data-state]')].map(seat => {
  const [what, done, bar] = ['.what', '.done', '.bar-done'].map(name => seat.querySelector(name));
  const text = document.createRange();
  text.selectNodeContents(what);
  const cut = getComputedStyle(what).overflowX === 'clip' ? what : text;
  const isBelow = done.getBoundingClientRect().top >= what.getBoundingClientRect().bottom - 2;
  const isBeside = cut.getBoundingClientRect().right <= done.getBoundingClientRect().left;
  const isSeen = done.checkVisibility() && (!what.checkVisibility() || isBelow || isBeside);
  return [seat.dataset.state, isSeen ? done.textContent : bar.clientWidth / seat.clientWidth];
})"""


@pytest.mark.parametrize(
    ("students", "columns", "size"), [(48, 8, (1280, 720)), (200, 20, (1920, 1080))]
)
async def test_each_seat_says_how_far_its_student_is(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    students: int,
    columns: int,
    size: tuple[int, int],
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(students)))
    await sit(api, class_id, ids, columns)
    code = (await api.get(f"/classes/{class_id}")).json()["class_code"]
    path = unique("a") + ".ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    assignment = await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    where = {"classCode": code, "notebookPath": path}
    runs, takes, waits, stuck, fails, hands, rests = users[:7]
    earlier = {"eventTime": (datetime.now(UTC) - timedelta(minutes=3)).isoformat()}
    first = [event(userId=user, cellId="c1", **where) for user in users if user != rests]
    await post(school, *first, event(userId=rests, cellId="c1", **where, **earlier))
    for user, errors in ((stuck, 3), (fails, 1)):
        for _ in range(errors):
            await post_as(school, user, "cell_executed", cellId="c2", hasError=True, **where)
    await create(api, "/submissions", assignment_id=assignment["id"], student_id=ids[5])
    counted = (await api.get(f"/assignments/{assignment['id']}/progress")).json()
    assert len(counted["students"]) == students
    for user in (takes, waits):
        await post_as(school, user, "help", **where)
    await act_on_help(api, class_id, ids[1], "take", "Sato")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        width, height = size
        await page.set_viewport_size({"width": width, "height": height})
        await wait_live(page)
        await expect(seat(page, runs).locator(".done")).to_have_text("1/1")
        await expect(seat(page, hands)).to_have_attribute("data-state", "finished")
        await expect(seat(page, waits)).to_contain_text("①")
        states = ["active", "help", "help", "stuck", "error", "finished", "finished"]
        states += ["active"] * (students - 7)
        assert await page.evaluate(PROGRESS) == [[state, "1/1"] for state in states]
        await page.set_viewport_size({"width": width, "height": height - students})
        await expect(page.locator(".seats.is-low")).to_have_count(1)
        for state, progress in await page.evaluate(PROGRESS):
            assert progress == "1/1" or (columns == 20 and progress > 0.9), state
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.get_by_role("button", name="Seats", exact=True).click()
        await expect(page.locator(".seats.is-low")).to_have_count(0)
        assert {progress for _, progress in await page.evaluate(PROGRESS)} == {"1/1"}


async def test_the_largest_error_is_above_the_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.set_viewport_size({"width": 1280, "height": 720})
        await wait_live(page)
        largest = page.locator(".lesson-head .largest-error")
        await expect(largest).to_be_hidden()
        await expect(page.locator(".seats .seat a")).to_have_count(3)
        before = await page.evaluate(PLACES)
        for user in users[:2]:
            await post_as(
                school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'"
            )
        await expect(largest).to_contain_text("2: KeyError", timeout=15_000)
        await expect(largest).to_be_in_viewport()
        await largest.get_by_role("link", name="Show on seats").click()
        await expect(page.locator(".seat.is-dimmed")).to_have_count(1)
        assert await page.evaluate(PLACES) == before


async def test_a_seat_and_the_queue_say_the_same_wait(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    await post_as(school, one, "help")
    await post_as(school, two, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(seat(page, one)).to_contain_text("①")
        await expect(seat(page, two)).to_contain_text("②")
        waits = """user => {
          const text = (selector) => [...document.querySelectorAll(selector)]
            .find(each => each.textContent.includes(user)).textContent;
          const time = /\\d+:\\d\\d/;
          return [time.exec(text('.seat'))[0], time.exec(text('.queue .card'))[0]];
        }"""
        for _ in range(3):
            await page.wait_for_timeout(700)
            on_seat, in_queue = await page.evaluate(waits, one)
            assert on_seat == in_queue
        await page.get_by_label("Your name").fill("Sato")
        await page.get_by_role("button", name="Take it").first.click()
        await expect(seat(page, one)).to_contain_text("Being helped")
        await expect(seat(page, two)).to_contain_text("①")


async def test_a_student_is_shown_beside_the_class(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(12)))
    first, other = users[0], users[1]
    await post_as(school, first, "cell_executed", code="old = 1", hasError=True)
    await post_as(school, first, "cell_executed", code="new = 2", hasError=True)
    await post_as(school, other, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.get_by_role("button", name="Error 1").click()
        assert page.url.endswith("/lesson?state=error")
        await expect(page.locator(".seat.is-dimmed")).to_have_count(11)
        await seat(page, first).locator("a").click()
        await expect(page.locator(".rail")).to_contain_text("new = 2")
        await expect(seat(page, other)).to_be_visible()
        assert page.url.endswith(f"/student/{ids[0]}?state=error")
        await post_as(school, first, "cell_executed", code="now = 3")
        await expect(page.locator(".rail .runs .card").first).to_contain_text("now = 3")
        await page.reload()
        await expect(page.locator(".rail .runs .card").first).to_contain_text("now = 3")
        await page.go_back()
        await seat(page, other).locator("a").click()
        await seat(page, first).locator("a").click()
        await page.keyboard.press("Escape")
        await expect(page.locator(".rail-calls")).to_be_visible()
        assert page.url.endswith("/lesson?state=error")
        await expect(seat(page, first).locator("a")).to_be_focused()


async def test_a_call_and_the_rail_say_who_and_where(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    for user, name, kana in zip(users, ("鈴木", "田中"), ("すずき", "たなか"), strict=True):
        row = {"user_id": user, "name": name, "kana": kana}
        (await api.post(f"/classes/{class_id}/students", json=[row])).raise_for_status()
    code = (await api.get(f"/classes/{class_id}")).json()["class_code"]
    path = unique("a") + ".ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    where = {"classCode": code, "notebookPath": path}
    for cell in ("c1", "c2"):
        await post_as(school, users[0], "cell_executed", cellId=cell, **where)
    await post_as(school, users[1], "cell_executed", cellId="c1", **where)
    for user in users:
        await post_as(school, user, "help", **where)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        cards = page.locator(".rail-calls .call")
        await expect(cards.nth(1)).to_contain_text("②")
        await expect(cards.nth(1).locator("h2")).to_have_text("田中 (たなか) A2")
        await cards.nth(1).get_by_role("link", name="田中").click()
        beside = page.locator(".rail-student")
        await expect(beside.locator(".call .rank")).to_have_text("②")
        await expect(beside.locator(".view > h2")).to_have_text("田中 (たなか)")
        await expect(beside.locator(".state")).to_contain_text("Calling · seat A2 · 1 of 2 cells")
        await act_on_help(api, class_id, ids[0], "take", "Sato")
        await expect(beside.locator(".call .rank")).to_have_text("①")
        await act_on_help(api, class_id, ids[1], "take", "Sato")
        await expect(beside.locator(".call .rank")).to_be_hidden()
        await expect(beside.locator(".state")).to_contain_text("Being helped")


async def test_the_rail_says_what_the_seat_says(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "never", "reads", "fails", "runs")
    await post_as(school, users[1], "notebook_opened")
    await post_as(school, users[2], "cell_executed", hasError=True)
    await post_as(school, users[3], "cell_executed")
    words = ("Not connected", "Reading", "Error", "Working")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        for user, word in zip(users, words, strict=True):
            await seat(page, user).locator("a").click()
            state = page.locator(".rail-student .state")
            await expect(state).to_contain_text(f"{word} · ")
            named = await seat(page, user).get_attribute("data-state") or ""
            await expect(state.locator(".shape")).to_have_attribute("data-state", named)


async def test_a_lesson_goes_by_keyboard_alone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(8)))
    await sit(api, class_id, ids, 4)
    for user in (users[2], users[6]):
        code = f"code_of_{users.index(user)}"
        await post_as(school, user, "cell_executed", code=code, hasError=True)
        await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(page.locator(".queue .card")).to_have_count(2)
        await page.get_by_label("Your name").fill("Sato")
        await page.keyboard.press("n")  # it is written, in a field
        await expect(page.get_by_label("Your name")).to_have_value("Saton")
        await page.locator("#view").focus()
        await page.keyboard.press("n")
        await expect(page.locator(".rail .runs")).to_contain_text("code_of_2")
        await page.keyboard.press("t")
        await expect(page.locator(".rail")).to_contain_text("You are with them")
        await page.keyboard.press("n")
        await expect(page.locator(".rail .runs")).to_contain_text("code_of_6")
        await page.keyboard.press("Escape")
        await expect(seat(page, users[6]).locator("a")).to_be_focused()
        assert await page.locator('.seats a[tabindex="0"]').count() == 1
        await page.keyboard.press("ArrowUp")
        await expect(seat(page, users[2]).locator("a")).to_be_focused()
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")  # there is none
        await expect(seat(page, users[0]).locator("a")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(".rail-student h2")).to_have_text(users[0])
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Next call")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.locator(".rail-student h2")).to_have_text(users[0])


async def test_the_room_is_turned_round(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(6)))
    await sit(api, class_id, ids, 3)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(6)
        await expect(page.locator(".seats .desk")).to_be_visible()  # the room was fetched
        before = await page.evaluate(PLACES)
        await page.get_by_role("button", name="Seen from the desk").click()
        after = await page.evaluate(PLACES)
        assert after[users[0]][1] > after[users[5]][1]
        assert after[users[0]][0] > after[users[5]][0]
        gap = before[users[1]][0] - before[users[0]][0]
        assert after[users[0]][0] - after[users[1]][0] == pytest.approx(gap, abs=1)
        await page.reload()
        await expect(page.locator(".seats .seat a")).to_have_count(6)
        await expect(page.locator(".seats .desk")).to_be_visible()
        assert await page.evaluate(PLACES) == after


async def test_seats_are_given_by_keyboard_and_by_dragging(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    url = view_url(school, class_id, "lesson")
    async with open_tab(browser, url) as page, open_tab(browser, url) as other:
        await wait_live(page)
        await wait_live(other)
        await page.get_by_role("button", name="Arrange seats").click()
        await page.get_by_label("Rows").fill("2")
        await page.get_by_label("Seats in a row").fill("3")
        await page.keyboard.press("Tab")
        await page.get_by_label("Aisle after seat 1").check()
        await page.locator(".standing").get_by_role("button", name=one).press("Enter")
        await page.get_by_role("button", name="A1 free").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await (
            page.locator(".standing")
            .get_by_role("button", name=two)
            .drag_to(page.get_by_role("button", name="A3 free"))
        )
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(seat(other, one).locator("a")).to_have_attribute("title", f"{one} · B2")
        room = (await api.get(f"/classes/{class_id}/room")).json()
        assert (room["rows"], room["columns"], room["aisles"]) == (2, 3, [1])
        assert room["seats"] == [
            {"student_id": ids[1], "row": 1, "column": 3},
            {"student_id": ids[0], "row": 2, "column": 2},
        ]
        await page.get_by_role("button", name="Arrange seats").click()
        await page.get_by_role("button", name=f"A3 {two}").drag_to(
            page.get_by_role("button", name=f"B2 {one}")
        )
        await page.get_by_role("button", name="Save").click()
        await expect(seat(other, one).locator("a")).to_have_attribute("title", f"{one} · A3")


async def open_editor(page: Page) -> Locator:
    """The dialog in which seats are given."""
    await wait_live(page)
    await page.get_by_role("button", name="Arrange seats").click()
    return page.get_by_role("dialog", name="Arrange seats")


async def test_the_editor_goes_by_keyboard_alone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids[:1], 4)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        said = dialog.get_by_role("status")
        await dialog.get_by_label("Aisle after seat 1").focus()
        await page.keyboard.press("Space")
        await expect(dialog.get_by_label("Aisle after seat 1")).to_be_focused()
        await dialog.get_by_role("button", name=f"A1 {one}").focus()
        await page.keyboard.press("Tab")
        await expect(dialog.get_by_role("button", name=two)).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("button", name="A2 free")).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("button", name=f"A3 {two}")).to_be_focused()
        await expect(said).to_have_text(f"{two} on seat A3")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("Delete")
        await expect(said).to_have_text(f"{one} has no seat now")
        await expect(dialog.get_by_role("button", name="A1 free")).to_be_focused()
        await dialog.get_by_role("button", name="Save").press("Enter")
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_role("button", name="Arrange seats")).to_be_focused()
    room = (await api.get(f"/classes/{class_id}/room")).json()
    assert room["aisles"] == [1, 2]
    assert room["seats"] == [{"student_id": ids[1], "row": 1, "column": 3}]


async def test_everybody_is_seated_by_number(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, ids = await create_class_of(api, "third", "first", "second")
    for number, student in ((2, ids[2]), (1, ids[1])):
        line = {"number": number}
        (await api.put(f"/classes/{class_id}/students/{student}", json=line)).raise_for_status()
    await sit(api, class_id, ids[:1], 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        await dialog.get_by_role("button", name="Seat by number").click()
        await expect(dialog.get_by_label("Rows")).to_have_value("2")
        for name, place in ((users[1], "A1"), (users[2], "A2"), (users[0], "B1")):
            await expect(dialog.get_by_role("button", name=f"{place} {name}")).to_be_visible()
        await dialog.get_by_role("button", name="Empty all seats").click()
        await expect(dialog.locator(".standing").get_by_role("button")).to_have_count(3)


async def test_a_seat_is_taken_away_by_touch(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        standing = dialog.locator(".standing")
        await dialog.get_by_role("button", name=f"A1 {one}").click()
        await standing.get_by_role("button", name=f"Take {one}’s seat away").click()
        await expect(standing.get_by_role("button", name=one)).to_be_focused()
        await dialog.get_by_role("button", name=f"A2 {two}").click()
        box = await standing.bounding_box()
        assert box is not None
        await standing.click(position={"x": box["width"] - 5, "y": box["height"] / 2})
        await expect(standing.get_by_role("button")).to_have_count(2)


async def test_who_is_dropped_nowhere_is_not_picked_up(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        await dialog.get_by_role("button", name=f"A1 {one}").drag_to(dialog.locator("h3"))
        await dialog.get_by_role("button", name=f"A2 {two}").click()
        await expect(dialog.get_by_role("button", name=f"A1 {one}")).to_be_visible()
        pressed = dialog.locator('[aria-pressed="true"]')
        await expect(pressed).to_have_count(1)
        await expect(pressed).to_contain_text(two)


async def test_escape_loses_no_seats(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (_, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        await dialog.get_by_label("Seats in a row").fill("1")
        await page.keyboard.press("Tab")
        await expect(dialog.locator(".standing").get_by_role("button", name=two)).to_be_visible()
        await dialog.get_by_label("Seats in a row").fill("3")
        await page.keyboard.press("Tab")
        await dialog.get_by_role("button", name=f"A2 {two}").press("Enter")  # it is hers again
        await page.keyboard.press("Escape")
        await expect(dialog.locator('[aria-pressed="true"]')).to_have_count(0)
        await expect(dialog).to_be_visible()
        await page.keyboard.press("Escape")
        question = page.get_by_role("dialog", name="not been saved")
        await expect(question).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(question).to_have_count(0)
        await expect(dialog.get_by_label("Seats in a row")).to_have_value("3")
        await page.keyboard.press("Escape")
        await question.get_by_role("button", name="Discard").click()
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_role("button", name="Arrange seats")).to_be_focused()
        await page.get_by_role("button", name="Arrange seats").click()
        await page.keyboard.press("Escape")  # nothing is changed, and nothing asked
        await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await api.get(f"/classes/{class_id}/room")).json()["columns"] == 2


async def test_seats_are_arranged_in_the_room_that_there_is(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, school.url) as page:
        await page.route("**/room", lambda route: route.abort())
        await page.goto(view_url(school, class_id, "lesson"))
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(2)
        arrange = page.get_by_role("button", name="Arrange seats")
        await expect(arrange).to_be_disabled()
        await page.unroute("**/room")
        await arrange.click()
        await expect(page.get_by_label("Aisle after seat 1")).to_be_checked()


async def test_a_change_by_somebody_else_is_said_after_a_failure_too(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        await page.route("**/room", lambda route: route.abort())
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_contain_text("Failed:")
        await sit(api, class_id, ids[::-1], 2)
        await expect(dialog).to_contain_text("Someone else has changed the seats.")
        await expect(dialog).to_contain_text("If you save, yours replace theirs.")
        await page.unroute("**/room")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
    seats = (await api.get(f"/classes/{class_id}/room")).json()["seats"]
    assert [each["student_id"] for each in seats] == ids


async def test_seats_do_not_move_while_they_are_saved(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        held = await hold(page, "**/room")
        save = dialog.get_by_role("button", name="Save")
        await save.click()
        (saving,) = await eventually(lambda: held, bool)
        await expect(dialog).to_have_js_property("inert", True)
        await saving.abort()
        await expect(dialog).to_contain_text("Failed:")
        await expect(save).to_be_focused()


async def test_the_seats_of_somebody_else_can_be_taken_over(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        dialog = await open_editor(page)
        theirs = dialog.get_by_role("button", name="Discard mine and show theirs")
        await expect(theirs).to_be_hidden()
        await dialog.get_by_role("button", name="Empty all seats").click()
        await sit(api, class_id, ids[::-1], 3)
        await theirs.click()
        await expect(theirs).to_be_hidden()
        await expect(dialog).not_to_contain_text("Someone else")
        for place, name in (("A1", two), ("A2", one)):
            await expect(dialog.get_by_role("button", name=f"{place} {name}")).to_be_visible()
        await expect(dialog.get_by_label("Seats in a row")).to_have_value("3")
        await page.keyboard.press("Escape")  # nothing of one's own is lost
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Arrange seats")).to_be_focused()


async def test_a_projector_shows_no_names(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), ids = await create_class_of(api, "one", "two")
    await sit(api, class_id, ids, 2)
    await post_as(school, one, "cell_executed", code="secret = 1", hasError=True)
    await post_as(school, two, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.keyboard.press("p")
        await expect(page.locator(".projector")).to_contain_text("A2")
        for _ in range(2):
            shown = await page.locator("body").inner_text()
            assert {"A1", "A2"} <= set(shown.split())
            for text in (one, two, "secret", "KeyError", "Calling", "waiting"):
                assert text not in shown
            await page.keyboard.press("p")
            await page.keyboard.press("Escape")
            await page.keyboard.press("n")
            await expect(page.locator(".projector")).to_be_visible()
            await expect(page.locator("#view")).to_be_hidden()
            await page.reload()
            await expect(page.locator(".projector")).to_contain_text("A2")
        notice = {"message": "休憩 10 分", "class_id": class_id}
        await api.post("/notices", json=notice)
        await expect(page.locator(".projector")).to_contain_text("休憩 10 分")
        await page.get_by_role("button", name="Show names again").click()
        await page.get_by_role("dialog").get_by_role("button", name="Show names again").click()
        await expect(seat(page, one)).to_be_visible()


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
async def test_nothing_overflows_on_a_small_phone(
    school: Replica, api: httpx.AsyncClient, browser: Browser, width: int, locale: str
) -> None:
    long = "x" * 80
    class_id, (user,), (student,) = await create_class_of(api, long)
    place = {"notebookPath": f"{long}/{long}.ipynb", "teamName": long}
    await post_as(school, user, "cell_executed", hasError=True, errorMessage=long * 3, **place)
    await post_as(school, user, "help", userName=long, **place)
    views = ("lesson", "students", "help", f"student/{student}")
    async with open_tab(browser, school.url, locale=locale) as page:
        await page.set_viewport_size({"width": width, "height": 640})
        for view in views:
            await page.goto(view_url(school, class_id, view))
            await wait_live(page)
            await page.wait_for_load_state("networkidle")
            assert not await overflows(page), view


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"forced_colors": "active"}])
async def test_axe_finds_nothing_in_a_lesson(
    school: Replica, api: httpx.AsyncClient, browser: Browser, look: dict[str, Any]
) -> None:
    class_id, (one, two, three), ids = await create_class_of(api, "one", "two", "three")
    await sit(api, class_id, ids[:2], 2)
    for _ in range(3):
        await post_as(school, one, "cell_executed", hasError=True)
    await post_as(school, two, "help")
    await post_as(school, three, "cell_executed")
    async with open_tab(browser, view_url(school, class_id, "lesson"), **look) as page:
        await wait_live(page)
        await page.wait_for_load_state("networkidle")
        assert await violations(page) == []
        await page.get_by_role("button", name="Arrange seats").click()
        assert await violations(page) == []
        await page.get_by_role("button", name="Cancel").click()
        await page.keyboard.press("p")
        await expect(page.locator(".projector")).to_be_visible()
        assert await violations(page) == []


async def test_shapes_are_there_in_forced_colours(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "one")
    await post_as(school, user, "help")
    async with open_tab(
        browser, view_url(school, class_id, "lesson"), forced_colors="active"
    ) as page:
        await wait_live(page)
        await expect(seat(page, user)).to_have_attribute("data-state", "help")
        colours = """() => [
          ...document.querySelectorAll('#top svg.shape, .lesson svg.shape'),
        ].map(shape => {
          const behind = shape.closest('.seat, button, .card, body');
          return [getComputedStyle(shape.querySelector('path')).fill,
            getComputedStyle(behind).backgroundColor, getComputedStyle(shape.parentElement).color];
        })"""
        shapes = await page.evaluate(colours)
        assert len(shapes) >= len(STATES) + 3  # of the counts, of the seat, and in the header
        for shape, behind, text in shapes:
            assert shape == text
            assert shape != behind
        forms = await page.locator(".filter svg.shape path").evaluate_all(
            "paths => paths.map(path => path.getAttribute('d'))"
        )
        assert len(set(forms)) == len(STATES)


async def test_the_header_can_be_skipped(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await page.keyboard.press("Tab")
        skip = page.get_by_role("button", name="Skip to the content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("#view")).to_be_focused()
