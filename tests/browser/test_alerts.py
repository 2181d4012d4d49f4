"""New calls are noticed in every view: by sound, in the title, by screen readers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.page import tile, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import act_on_help, create, create_class_of
from tests.support.replicas import Replica

# Counts notes, and what asks the browser for something; what the browser does stays as it is.
SPY = """
    window.notes = 0;
    window.asked = [];
    window.shown = [];
    const start = AudioScheduledSourceNode.prototype.start;
    AudioScheduledSourceNode.prototype.start = function (...when) {
        window.notes += 1;
        return start.apply(this, when);
    };
    const note = (object, name) => {
        const original = object[name].bind(object);
        object[name] = (...args) => {
            window.asked.push(name);
            return original(...args);
        };
    };
    note(Notification, "requestPermission");
    note(navigator, "vibrate");
    note(navigator.wakeLock, "request");
"""
# A headless Chromium shows no notifications, whatever it is granted.
NOTIFICATIONS = """() => {
    window.Notification = class {
        static permission = "default";
        static async requestPermission() { this.permission = "granted"; }
        constructor(title, options) { window.shown.push(options.body); }
    };
}"""
# What Chromium does to a page that has been hidden for minutes: no frames, and few long timers.
HIDDEN = """
    Object.defineProperty(document, "hidden", { get: () => true });
    window.requestAnimationFrame = () => 0;
    const start = window.setTimeout;
    window.setTimeout = (task, ms = 0) => start(task, ms < 1_000 ? ms : 60_000);
"""
CALL = 2  # notes
NAME = "数学 — Cell Monitor"


@asynccontextmanager
async def open_spied(browser: Browser, url: str, name: str = "") -> AsyncIterator[Page]:
    """A page of the teacher of that name, whose sounds and questions are counted."""
    async with open_tab(browser, url) as page:
        if name:
            await page.evaluate("(name) => localStorage.setItem('name', name)", name)
        await page.add_init_script(SPY)
        await page.reload()
        await wait_live(page)
        yield page


async def notes(page: Page) -> int:
    count: int = await page.evaluate("notes")
    return count


async def expect_notes(page: Page, count: int) -> None:
    await page.wait_for_function("(count) => notes >= count", arg=count)
    assert await notes(page) == count


def bell(page: Page) -> Locator:
    return page.locator(".bell")


async def turn_on(page: Page, name: str = "Play a sound") -> Locator:
    await bell(page).click()
    box = page.get_by_label(name)
    await box.click()
    return box


async def test_new_calls_sound_in_every_view_once_that_is_chosen(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "one", "two", "three")
    async with open_spied(browser, view_url(school, class_id, "notebooks")) as page:
        await expect(page).to_have_title(NAME)
        await expect(bell(page)).to_have_text("Alerts: off")
        await post_as(school, one, "help")
        await expect(page).to_have_title(f"(1) {NAME}")
        assert await notes(page) == 0
        await turn_on(page)
        await expect_notes(page, CALL)  # a test of it
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await expect(page.locator(".alerts")).to_be_hidden()
        await expect(bell(page)).to_have_text("Alerts: on")
        await post_as(school, two, "help")
        await expect(page).to_have_title(f"(2) {NAME}")
        await expect_notes(page, 2 * CALL)
        await expect(page.locator("#announcer")).to_contain_text(f"{two} is calling")
        await post_as(school, one, "help")
        await post_as(school, two, "help")
        await page.goto(view_url(school, class_id, "manage"))
        await post_as(school, three, "help")
        await expect(page).to_have_title(f"(3) {NAME}")
        await expect_notes(page, 3 * CALL)
        await expect(page.locator(".toast")).to_have_count(0)
        await post_as(school, one, "help_stop")
        await expect(page).to_have_title(f"(2) {NAME}")
        await page.goto(f"{school.url}/#/classes")
        await expect(page).to_have_title("Cell Monitor")
        await expect(bell(page)).to_be_hidden()


async def test_the_choice_is_kept_and_waits_for_a_click_after_a_reload(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with open_spied(browser, view_url(school, class_id)) as page:
        await turn_on(page)
        await expect(bell(page)).to_have_text("Alerts: on")
        await post_as(school, one, "help")
        await expect_notes(page, 2 * CALL)
        await page.reload()
        await wait_live(page)
        await expect(bell(page)).to_have_text("Alerts: muted until you click")
        await expect(page).to_have_title(f"(1) {NAME}")
        await page.locator("#view").click(position={"x": 2, "y": 2})
        await expect(bell(page)).to_have_text("Alerts: on")
        assert await notes(page) == 0  # that one calls is no news
        await post_as(school, two, "help")
        await expect_notes(page, CALL)
        await bell(page).click()
        await page.get_by_label("Play a sound").click()
        await expect(bell(page)).to_have_text("Alerts: off")
        await page.reload()
        await wait_live(page)
        await expect(bell(page)).to_have_text("Alerts: off")


async def test_calls_in_another_teachers_part_are_not_heard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, students = await create_class_of(api, "mine", "theirs")
    rows = [{"user_id": user, "team": team} for user, team in zip(users, "AB", strict=True)]
    await api.post(f"/classes/{class_id}/students", json=rows)
    for name, team in (("Sato", "A"), ("Suzuki", "B")):
        await api.put(f"/classes/{class_id}/duties", json={"name": name, "teams": [team]})
    async with open_spied(browser, view_url(school, class_id), "Sato") as page:
        await turn_on(page)
        await expect_notes(page, CALL)
        await post_as(school, users[1], "help")
        await expect(tile(page, users[1])).to_have_attribute("data-state", "help")
        await expect(page.locator("nav .badge")).to_be_hidden()
        await post_as(school, users[0], "help")
        await expect(page.locator("nav .badge")).to_have_text("1")
        await expect(page).to_have_title(f"(1) {NAME}")
        await expect_notes(page, 2 * CALL)
        await act_on_help(api, class_id, students[0], "take", "Sato")
        await expect(page).to_have_title(NAME)
        await act_on_help(api, class_id, students[0], "return", "Sato")
        await expect(page).to_have_title(f"(1) {NAME}")
        assert await notes(page) == 2 * CALL  # the same call


async def test_a_call_of_another_part_is_heard_once_it_is_overdue(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await api.post(f"/classes/{class_id}/students", json=[{"user_id": user, "team": "A"}])
    await api.put(f"/classes/{class_id}/duties", json={"name": "Suzuki", "teams": ["A"]})
    now = datetime.now(UTC)
    for age in (timedelta(minutes=4, seconds=35), timedelta(minutes=2), timedelta(0)):
        await post_as(school, user, "help", eventTime=(now - age).isoformat())
    async with open_spied(browser, view_url(school, class_id), "Sato") as page:
        await turn_on(page)
        await expect_notes(page, CALL)
        await expect(page).to_have_title(NAME)
        await post_as(school, user, "help")
        await page.wait_for_function("() => notes > 2", timeout=35_000)
        await expect(page).to_have_title(f"(1) {NAME}")
        await expect_notes(page, 2 * CALL)


async def test_nothing_is_asked_for_before_it_is_chosen(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_spied(browser, view_url(school, class_id)) as page:
        await post_as(school, user, "help")
        await expect(page).to_have_title(f"(1) {NAME}")
        assert await page.evaluate("asked") == []
        refused = await turn_on(page, "Notify me")
        await expect(page.get_by_role("alert")).to_contain_text("doesn't allow this page")
        await expect(refused).not_to_be_checked()
        assert await page.evaluate("asked") == ["requestPermission"]
        await expect(bell(page)).to_have_text("Alerts: off")
        await page.get_by_label("Vibrate").click()
        await expect(bell(page)).to_have_text("Alerts: on")
        awake = page.get_by_label("Keep the screen on")
        await awake.click()
        await expect(page.get_by_role("alert").last).to_contain_text("denied")
        await expect(awake).not_to_be_checked()
        await page.context.grant_permissions(["screen-wake-lock"])
        await awake.click()
        await expect(awake).to_be_checked()
        assert await page.evaluate("asked.slice(1)") == ["vibrate", "request", "request"]
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back again
        await page.wait_for_function("() => asked.length === 5")
        await page.reload()
        await wait_live(page)
        await expect(bell(page)).to_have_text("Alerts: on")
        assert await page.evaluate("asked") == ["request"]  # which asks nobody
        await bell(page).click()
        await awake.click()
        await expect(awake).not_to_be_checked()
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert await page.evaluate("asked") == ["request"]


async def test_a_screen_that_may_not_stay_on_is_not_asked_for_again(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_spied(browser, view_url(school, class_id)) as page:
        awake = await turn_on(page, "Keep the screen on")
        await expect(page.get_by_role("alert").last).to_contain_text("denied")
        await expect(awake).not_to_be_checked()
        await page.context.grant_permissions(["screen-wake-lock"])
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back again
        assert await page.evaluate("asked") == ["request"]


async def test_the_menu_has_the_class_s_word_for_learners(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    await api.put(f"/classes/{class_id}", json={"learner_word": "pupil"})
    async with open_tab(browser, view_url(school, class_id), locale="ja-JP") as page:
        await wait_live(page)
        await bell(page).click()
        menu = page.get_by_role("dialog", name="呼び出しの通知")
        await expect(menu).to_contain_text("自分の担当")
        await expect(menu).not_to_contain_text("学生")


async def test_a_notification_names_no_student(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_spied(browser, view_url(school, class_id)) as page:
        await page.evaluate(NOTIFICATIONS)
        box = await turn_on(page, "Notify me")
        await expect(box).to_be_checked()
        await page.wait_for_function("() => shown.length === 1")
        await page.evaluate("document.hasFocus = () => false")  # another window has it
        await post_as(school, user, "help")
        await page.wait_for_function("() => shown.length === 2")
        assert await page.evaluate("shown[1]") == "数学: 1 call is waiting"


async def test_a_page_that_nobody_sees_counts_calls_in_its_title(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await page.add_init_script(HIDDEN)
        await page.reload()
        await wait_live(page)
        await expect(page).to_have_title(NAME)
        await post_as(school, user, "help")
        await expect(page).to_have_title(f"(1) {NAME}")
        await post_as(school, user, "help_stop")
        await expect(page).to_have_title(NAME)


async def test_what_was_announced_does_not_come_back_at_a_reload(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    async with open_tab(browser, view_url(school, class_id, "errors")) as page:
        await wait_live(page)
        failed = {"hasError": True, "errorMessage": "KeyError: 'x'", "cellIndex": 6}
        await post(school, *(event(userId=user, **failed) for user in users))
        await expect(page.locator(".toast")).to_contain_text("3 of 3 students")
        await create(api, "/notices", message="five more minutes", class_id=class_id)
        await expect(page.locator(".toast").last).to_contain_text("five more minutes")
        await page.reload()
        await wait_live(page)
        await expect(page.locator(".radar .card h2")).to_contain_text("3 of 3 students")
        await post_as(school, users[0], "cell_executed")
        await expect(page.locator(".radar .card h2")).to_contain_text("2 of 3 students")
        await expect(page.locator(".toast")).to_have_count(0)
