"""The help queue."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import hold, requests_of, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import act_on_help, create_assignment, create_class_of
from tests.support.replicas import Replica
from tests.support.waiting import eventually

COUNT_CALLS = """() => {
  const seen = { most: 0 };
  const look = () => {
    seen.most = Math.max(seen.most, document.querySelectorAll(".queue .card").length);
    requestAnimationFrame(look);
  };
  look();
  return seen;
}"""


async def test_two_teachers_share_a_request(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    url = view_url(school, class_id, "help")
    async with open_tab(browser, url) as one, open_tab(browser, url) as two:
        await wait_live(one)
        await wait_live(two)
        await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
        await post_as(school, user, "help")
        for page, name in ((one, "Sato"), (two, "Suzuki")):
            await page.get_by_label("Your name").fill(name)
            await expect(page.locator(".queue .card")).to_contain_text("KeyError: 'x'")
            await expect(page.locator("nav .badge")).to_have_text("1")
        await one.get_by_role("button", name="Take it").click()
        await expect(two.locator(".queue .card")).to_contain_text("Sato is helping")
        await expect(two.get_by_role("button", name="Take it")).to_be_hidden()
        await one.get_by_role("button", name="Mark settled").click()
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(0)
        await post_as(school, user, "help")
        await post_as(school, user, "cell_executed", cellIndex=8)
        await post_as(school, user, "help_stop")
        await post_as(school, user, "help")
        for page in (one, two):
            await expect(page.locator(".queue .card")).to_have_count(1)


async def test_what_was_done_to_a_call_is_undone(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        await page.get_by_label("Your name").fill("Sato")
        card = page.locator(".queue .card")
        take, settle = (
            page.get_by_role("button", name=name) for name in ("Take it", "Mark settled")
        )
        undo = page.locator(".undo").get_by_role("button", name="Undo")
        await expect(settle).to_be_hidden()
        await take.click()
        await expect(take).to_be_hidden()
        await undo.click()
        await expect(settle).to_be_hidden()
        await take.click()
        await page.get_by_role("button", name="Back into the queue").click()
        await expect(take).to_be_visible()
        await undo.click()
        await expect(card).to_contain_text("You are with them")
        await settle.click()
        await expect(card).to_have_count(0)
        await undo.click()
        await expect(card).to_contain_text("You are with them")


async def test_a_reload_after_it_was_settled_calls_again(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await post_as(school, user, "help", sessionId=f"{user}-1")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        card = page.locator(".queue .card")
        await expect(card).to_have_count(1)
        await act_on_help(api, class_id, student, "resolve", "Sato")
        await expect(card).to_have_count(0)
        await post_as(school, user, "help", sessionId=f"{user}-2")
        await expect(card).to_have_count(1, timeout=20_000)


async def test_heartbeats_of_a_settled_call_are_asked_about_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await post_as(school, user, "help")
    await act_on_help(api, class_id, student, "resolve", "Sato")
    async with open_tab(browser, "about:blank") as page:
        asked = requests_of(page, f"/classes/{class_id}/help?")
        await page.goto(view_url(school, class_id, "help"))
        await wait_live(page)
        await asyncio.sleep(1)
        before = len(asked)
        for _ in range(5):
            await post_as(school, user, "help")
            await asyncio.sleep(0.4)
            await expect(page.locator(".queue .card")).to_have_count(0)
        assert len(asked) == before + 1
        await post_as(school, user, "session_start")
        await post_as(school, user, "help")
        await expect(page.locator(".queue .card")).to_have_count(1, timeout=20_000)


async def test_a_call_is_shown_before_the_queue_is_asked(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "jiro")
    await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        held = await hold(page, "**/help?*")
        await post_as(school, user, "help")
        card = page.locator(".queue .card")
        await expect(card).to_contain_text(user)
        await expect(page.locator("nav .badge")).to_have_text("1")
        await expect(card.get_by_text("No recent errors")).to_be_hidden()  # that isn't known yet
        await post_as(school, other, "help")
        await expect(card).to_have_count(2)
        for route in await eventually(lambda: held, bool):
            await route.continue_()
        await expect(card.first).to_contain_text("KeyError: 'x'")
        await expect(card).to_have_count(2)  # also if the answer was from before the second call


async def test_what_happens_while_the_queue_is_asked_stays(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), (_, second) = await create_class_of(api, "hanako", "jiro")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        held = await hold(page, "**/help?*")
        await post(school, *(event(userId=each, eventType="help") for each in (user, other)))
        card = page.locator(".queue .card")
        await expect(card).to_have_count(2)
        (route,) = await eventually(lambda: held, bool)
        answer = await route.fetch()
        assert len(await answer.json()) == 2
        await post_as(school, user, "help_stop")
        await act_on_help(api, class_id, second, "resolve", "Sato")
        await expect(card).to_have_count(0)
        await route.fulfill(response=answer)
        await asyncio.sleep(1)
        await expect(card).to_have_count(0)


async def test_old_heartbeats_and_those_of_before_a_stop_show_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, other), _ = await create_class_of(api, "hanako", "jiro")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        calls = await page.evaluate_handle(COUNT_CALLS)
        for minutes in (6, 4, 2):  # out of an offline queue
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            await post_as(school, user, "help", eventTime=at.isoformat())
        before = datetime.now(UTC) - timedelta(seconds=5)
        await post_as(school, other, "help_stop")
        await post_as(school, other, "help", eventTime=before.isoformat())
        await post_as(school, other, "cell_executed")
        await asyncio.sleep(1)
        assert await calls.evaluate("({ most }) => most") == 0


async def test_many_who_call_at_once_cost_few_requests(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    names = [f"student{n}" for n in range(20)]
    class_id, users, _ = await create_class_of(api, *names)
    async with open_tab(browser, "about:blank") as page:
        asked = requests_of(page, f"/classes/{class_id}/help?")
        await page.goto(view_url(school, class_id, "help"))
        await wait_live(page)
        await expect(page.locator("#view")).to_contain_text("Nobody is calling.")
        before = len(asked)
        await post(school, *(event(userId=user, eventType="help") for user in users))
        await expect(page.locator(".queue .card")).to_have_count(20)
        await asyncio.sleep(1.5)
        assert 1 <= len(asked) - before <= 3
        await expect(page.locator(".queue .card")).to_have_count(20)


async def test_a_card_stays_open_and_shows_the_error_of_now(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    failed = {"hasError": True, "code": "d[1]"}
    await post_as(school, user, "cell_executed", **failed, errorMessage="KeyError: 'first'")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        card = page.locator(".queue .card")
        await card.locator("summary").click()
        await expect(card.locator("pre").first).to_have_text("d[1]")
        await post_as(school, user, "cell_executed", **failed, errorMessage="NameError: 'second'")
        await expect(card).to_contain_text("NameError: 'second'", timeout=20_000)
        await expect(card.locator("pre").first).to_be_visible()
        await post_as(school, user, "cell_executed")
        await expect(card).to_contain_text("solved since", timeout=20_000)
        await expect(card.locator("pre").first).to_be_visible()


async def test_a_call_is_answered_beside_the_student_s_code(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await post_as(school, user, "cell_executed", code="answer = 42")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        await page.get_by_label("Your name").fill("Sato")
        await page.locator(".queue .card h2 a").click()
        await expect(page).to_have_url(view_url(school, class_id, f"student/{student}"))
        await expect(page.locator(".runs")).to_contain_text("answer = 42")
        card = page.locator(".rail-student .queue .card")
        await page.get_by_role("button", name="Take it").click()
        await page.get_by_role("button", name="Mark settled").click()
        await expect(card).to_be_hidden()
        await page.get_by_role("button", name="Undo").click()
        await expect(card).to_contain_text("You are with them")
        await post_as(school, user, "help_stop")
        await expect(card).to_be_hidden()


async def test_two_teachers_share_the_teams(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, students = await create_class_of(api, "of_a", "of_b")
    rows = [{"user_id": user, "team": team} for user, team in zip(users, "AB", strict=True)]
    await api.post(f"/classes/{class_id}/students", json=rows)
    await post_as(school, users[0], "help")
    await post_as(school, users[1], "help")
    url = view_url(school, class_id, "help")
    async with open_tab(browser, url) as one, open_tab(browser, url) as two:
        for page, name, team in ((one, "Sato", "A"), (two, "Suzuki", "B")):
            await wait_live(page)
            await page.get_by_label("Your name").fill(name)
            await page.get_by_label("Your name").press("Enter")
            await page.get_by_label(team, exact=True).check()
        await expect(one.locator(".duty")).to_contain_text("Sato (A) · Suzuki (B)")
        cards = two.locator(".queue .card")
        await expect(cards.nth(0)).to_contain_text(users[1])
        await expect(cards.nth(1)).to_contain_text("in another teacher's part")
        await expect(one.locator(".queue .card").nth(0)).to_contain_text(users[0])
        assert await violations(one) == []
        await act_on_help(api, class_id, students[0], "take", "Suzuki")
        await expect(cards.nth(0)).to_contain_text("You are with them")


async def test_parts_that_are_ticked_quickly_are_all_taken(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    rows = [{"user_id": user, "team": team} for user, team in zip(users, "ABC", strict=True)]
    await api.post(f"/classes/{class_id}/students", json=rows)
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        await page.get_by_label("Your name").fill("Sato")
        await page.get_by_label("Your name").press("Enter")
        boxes = page.locator(".parts input")
        await expect(boxes).to_have_count(3)
        await expect(page.locator(".parts")).to_be_visible()
        await page.evaluate("document.querySelectorAll('.parts input').forEach(box => box.click())")
        await expect(page.locator(".duty")).to_contain_text("Sato (A, B, C)")
        await page.evaluate("[...document.querySelectorAll('.parts input')].at(1).click()")
        await expect(page.locator(".duty")).to_contain_text("Sato (A, C)")
        for index, is_checked in enumerate((True, False, True)):
            await expect(boxes.nth(index)).to_be_checked(checked=is_checked)
        (duty,) = (await api.get(f"/classes/{class_id}/duties")).json()["teachers"]
        assert duty["teams"] == ["A", "C"]


async def test_nobody_hears_of_half_a_name(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, "about:blank") as page:
        signs = requests_of(page, f"/classes/{class_id}/duties")
        await page.clock.install()
        await page.goto(view_url(school, class_id, "help"))
        await wait_live(page)
        assert signs == ["GET"]
        await page.get_by_label("Your name").press_sequentially("Sa")
        await page.clock.fast_forward(31_000)  # a sign is given
        assert await eventually(lambda: signs, lambda each: len(each) > 1) == ["GET", "GET"]
        await page.keyboard.type("to")
        await page.keyboard.press("Tab")
        await expect(page.locator(".duty")).to_contain_text("Here: Sato")


async def test_a_call_that_is_overdue_is_for_all(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await api.post(f"/classes/{class_id}/students", json=[{"user_id": user, "team": "A"}])
    await api.put(f"/classes/{class_id}/duties", json={"name": "Sato", "teams": ["A"]})
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await wait_live(page)
        card = page.locator(".queue .card")
        await expect(card).to_contain_text("in another teacher's part")
        for minutes in (6, 4, 2):  # out of an offline queue
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            await post_as(school, user, "help", eventTime=at.isoformat())
        await page.reload()
        await wait_live(page)
        await expect(page.locator(".duty")).to_contain_text("Sato (A)")
        await expect(card).to_contain_text("waiting 6:")
        await expect(card).not_to_contain_text("in another teacher's part")


async def test_request_and_assignment_are_handled_by_keyboard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await create_assignment(api, class_id=class_id, title="gone")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await page.get_by_label("Your name").focus()
        await page.keyboard.type("Sato")
        await page.get_by_role("button", name="Take it").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue")).to_contain_text("You are with them")
        await expect(page.get_by_role("button", name="Mark settled")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(".queue .card")).to_have_count(0)
        await expect(page.locator("#view")).to_be_focused()
        await page.goto(view_url(school, class_id, "manage"))
        await page.get_by_label("Edit “gone”").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Delete the assignment").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        assert await violations(page) == []
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".assignments .card")).to_have_count(0)
