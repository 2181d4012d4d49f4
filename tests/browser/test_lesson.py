"""The lesson on one screen: seats that stay, calls that say how long, a student beside them."""

import random
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.page import seat, serious_violations, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import create, create_assignment, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.roster import connected

# All that these students did was so much earlier.
EARLIER = """
    UPDATE student_states SET last_received_at = last_received_at - $2::interval,
        last_success_at = last_success_at - $2::interval,
        error_times = ARRAY(SELECT at - $2::interval FROM unnest(error_times) AS at)
    WHERE student_id = ANY ($1::bigint[])
"""
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


async def height_of(control: Locator) -> float:
    box = await control.bounding_box()
    assert box is not None
    return box["height"]


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
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        width, height = size
        await page.set_viewport_size({"width": width, "height": height})
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(students)
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


async def test_a_newcomer_moves_nobody(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "a", "b", "c")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(3)
        before = await page.evaluate(PLACES)
        newcomer = unique("0")
        await api.post(f"/classes/{class_id}/students", json={"user_id": newcomer})
        await post_as(school, newcomer, "cell_executed")
        await expect(seat(page, newcomer)).to_be_visible()
        after = await page.evaluate(PLACES)
        assert [after[user] for user in users] == [before[user] for user in users]


async def test_a_seat_says_whether_its_student_can_go_on(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    names = ("never", "runs", "fails", "stuck", "slow", "calls", "hands", "reads")
    class_id, users, ids = await create_class_of(api, *names)
    never, runs, fails, stuck, slow, calls, hands, reads = users
    await api.put(f"/classes/{class_id}", json={"stuck_minutes": 1})
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
        for user, errors in ((fails, 1), (stuck, 3), (slow, 1)):
            for _ in range(errors):
                await post_as(school, user, "cell_executed", hasError=True, **where)
        await post_as(school, calls, "help", **where)
        await post_as(school, hands, "cell_executed", **where)
        await create(api, "/submissions", assignment_id=assignment["id"], student_id=ids[6])
        await post_as(school, reads, "notebook_opened", **where)
        now = {never: "absent", runs: "active", fails: "error", stuck: "stuck", slow: "error"}
        await expect_states(page, now | {calls: "help", hands: "finished", reads: "reading"})
        await expect(seat(page, runs)).to_contain_text("1/1")
        await expect(seat(page, stuck)).to_contain_text("×3")
        await expect(page.locator(".present")).to_have_text("Here 7 of 8")
        labels = [
            await seat(page, user).locator("a").get_attribute("aria-label") or "" for user in users
        ]
        words = ("Not connected", "Working", "Error", "Stuck", "Error", "Calling · call 1")
        for label, word in zip(labels, words, strict=False):
            assert word in label
        async with connected(school) as connection:
            await connection.execute(EARLIER, ids, timedelta(seconds=90))
            await page.reload()
            await expect_states(page, {slow: "stuck", fails: "stuck", runs: "active"})
            await expect(seat(page, slow)).to_contain_text("×1 · 1 min")
            await connection.execute(EARLIER, ids, timedelta(minutes=5))
            await page.reload()
            await expect_states(page, {runs: "idle", hands: "finished"})
            await expect(seat(page, runs)).to_contain_text("6 min")
            await connection.execute(EARLIER, ids, timedelta(hours=3))
            await page.reload()
            await expect_states(page, {runs: "absent", hands: "absent"})


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
        before = await page.evaluate(PLACES)
        await page.get_by_role("button", name="Seen from the desk").click()
        after = await page.evaluate(PLACES)
        assert after[users[0]][1] > after[users[5]][1]
        assert after[users[0]][0] > after[users[5]][0]
        gap = before[users[1]][0] - before[users[0]][0]
        assert after[users[0]][0] - after[users[1]][0] == pytest.approx(gap, abs=1)
        await page.reload()
        await expect(page.locator(".seats .seat a")).to_have_count(6)
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


async def test_a_call_is_settled_on_a_phone_in_three_touches(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "cell_executed", code="x = 1", hasError=True, errorMessage="E: x")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await page.evaluate("localStorage.setItem('name', 'Sato')")
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.reload()
        await wait_live(page)
        take = page.get_by_role("button", name="Take it")
        await expect(take).to_be_in_viewport()
        assert await height_of(take) >= 48
        await page.locator(".queue summary").click()
        await expect(page.locator(".queue")).to_contain_text("x = 1")
        await take.click()
        await page.get_by_role("button", name="Mark settled").click()
        await expect(page.locator(".queue .card")).to_have_count(0)
        for pane in ("Seats", "Progress", "Calls"):
            tab = page.locator(".panes").get_by_role("button", name=pane)
            assert await height_of(tab) >= 48
            await tab.click()
            assert not await overflows(page)


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
        assert await serious_violations(page) == []
        await page.get_by_role("button", name="Arrange seats").click()
        assert await serious_violations(page) == []
        await page.get_by_role("button", name="Cancel").click()
        await page.keyboard.press("p")
        await expect(page.locator(".projector")).to_be_visible()
        assert await serious_violations(page) == []


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
        colours = """() => {
          const seat = document.querySelector('.seat a');
          return [getComputedStyle(seat.querySelector('.shape')).backgroundColor,
            getComputedStyle(seat.parentElement).backgroundColor];
        }"""
        shape, behind = await page.evaluate(colours)
        assert shape != behind


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
