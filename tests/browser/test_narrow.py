"""On 320 pixels nothing has to be scrolled sideways, whatever the names, and all has a name."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.page import view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post_as
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token

NARROW = ViewportSize(width=320, height=640)
WIDE = ViewportSize(width=1280, height=640)
LONG = "じゅげむじゅげむごこうのすりきれかいじゃりすいぎょの"
WORD = "Donaudampfschifffahrtsgesellschaftskapitaen"  # has no place to break
LANGUAGES = {"en": "en-US", "ja": "ja-JP"}
INVITE = {"en": "Invite", "ja": "招待"}

OPEN_ALL = "for (const each of document.querySelectorAll('details')) each.open = true"
# What sticks out to the right of the screen, unless something around it scrolls or cuts it.
STICKS_OUT = """
() => {
    const cut = (each) => getComputedStyle(each).overflowX !== "visible"
    const isHeld = (each) => {
        for (let at = each.parentElement; at && at !== document.body; at = at.parentElement)
            if (cut(at)) return true
        return false
    }
    const wide = [...document.body.querySelectorAll("*")].filter((each) => {
        const {left, right, width} = each.getBoundingClientRect()
        const end = cut(each) ? right : Math.max(right, left + each.scrollWidth)
        return width && (end > innerWidth + 1 || left < -1) && !isHeld(each)
    })
    const name = (each) => `${each.tagName}.${each.className} ${each.textContent.slice(0, 40)}`
    const scrolls = document.documentElement.scrollWidth > innerWidth
    return scrolls || wide.length ? ["sideways", ...wide.map(name)] : []
}
"""
# What takes the focus, or is a picture, and has no name for a screen reader.
NAMELESS = """
() => [...document.querySelectorAll("[tabindex='0'], canvas, svg, img")]
    .filter((each) => each.checkVisibility() && !each.closest("a, button, [aria-hidden=true]"))
    .filter((each) => !(each.ariaLabel || each.getAttribute("aria-labelledby") || each.alt))
    .map((each) => `nameless ${each.tagName}.${each.className} ${each.textContent.slice(0, 40)}`)
"""


@dataclass
class Lesson:
    """A class with long names, and something of everything."""

    class_id: int
    user: str
    student: int
    notebook: int
    assignment: int
    submission: int

    @property
    def views(self) -> dict[str, str]:
        """Each view of a teacher, with what it shows when it is loaded."""
        return {
            "lesson?state=help": ".seats .seat",
            "students": ".tile",
            "help": ".queue .card",
            f"student/{self.student}": ".runs > li",
            "errors": ".radar .card",
            f"notebooks/{self.notebook}": ".heatmap tbody tr",
            "activity": ".chart canvas",
            "manage": ".people tbody tr",
            f"attempts/{self.notebook}?place=id:long-cell": ".attempts .card",
            f"analysis/{self.assignment}": ".analysis tbody tr",
            f"submission/{self.submission}": ".notebook .cell",
            "lesson": ".rail .queue .card",
        }


def notebook_content() -> dict[str, Any]:
    code = {
        "cell_type": "code",
        "id": "b",
        "metadata": {},
        "source": f"print('{WORD * 4}')",
        "execution_count": 1,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": WORD * 4}],
    }
    text = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"# {WORD}\n\n{LONG * 4}"}
    return {"cells": [text, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


async def hold_lesson(api: httpx.AsyncClient) -> Lesson:
    names = (unique(WORD), unique(LONG))
    class_id, users, students = await create_class_of(api, *names)
    await api.put(f"/classes/{class_id}", json={"name": f"{LONG} {WORD}"})
    path = f"{unique(WORD)}/{LONG}.ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    handed_out = {"class_id": class_id, "notebook_id": notebook["id"], "points": 10}
    assignment = await create_assignment(api, title=f"{LONG} {WORD}", **handed_out)
    for user, team in zip(users, (LONG, WORD), strict=True):
        names_said = {"userName": user, "teamName": team, "emailAddress": f"{WORD}@example.com"}
        run = {"notebookPath": path, "cellId": "long-cell", "code": WORD * 3, "result": WORD * 9}
        failed = {"hasError": True, "errorMessage": f"KeyError: '{WORD * 2}'"}
        said = names_said | run
        events = [event(userId=user, **said)]
        events += [event(userId=user, **said | failed) for _ in range(3)]
        events.append(event(userId=user, **said, eventType="cell_execution_start"))
        events.append(event(userId=user, **said, eventType="help"))
        answer = await api.post("/events", json=events)
        assert answer.json()["stored"] == len(events), answer.text
    submission = await create(
        api,
        "/submissions",
        assignment_id=assignment["id"],
        student_id=students[0],
        notebook_content=notebook_content(),
    )
    await create(api, "/ingest-keys", name=WORD, class_id=class_id)
    await api.post(f"/classes/{class_id}/tokens", json={})
    return Lesson(
        class_id, users[0], students[0], notebook["id"], assignment["id"], submission["id"]
    )


SMALL_TARGETS = """() => [...document.querySelectorAll("#top :is(a, button:not(.skip), select)")]
  .filter((each) => each.checkVisibility() && !each.closest("[popover]"))
  .map((each) => [each.textContent.slice(0, 20), each.getBoundingClientRect()])
  .filter(([, { width, height }]) => height < 48 || width < 48)
  .map(([text, { width, height }]) => `${text}: ${width} x ${height}`)"""


async def troubles_of(page: Page, place: str) -> list[str]:
    """What sticks out, and what has no name, when all that can be opened is open."""
    await page.wait_for_load_state("networkidle")
    await page.evaluate(OPEN_ALL)
    await page.wait_for_load_state("networkidle")
    found = [
        *await page.evaluate(STICKS_OUT),
        *await violations(page),
        *await page.evaluate(NAMELESS),
    ]
    return [f"{place}: {trouble}" for trouble in found]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_teachers_views_fit(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str
) -> None:
    lesson = await hold_lesson(api)
    url = view_url(school, lesson.class_id, "manage")
    async with open_tab(browser, url, locale=LANGUAGES[language]) as page:
        await page.set_viewport_size(NARROW)
        troubles = []
        for view, shown in lesson.views.items():
            await post_as(school, lesson.user, "help")  # the call goes on
            await page.goto(view_url(school, lesson.class_id, view))
            await wait_live(page)
            await expect(page.locator(shown).first).to_be_visible()
            troubles += await troubles_of(page, view)
        await page.goto(f"{school.url}/#/classes")
        await expect(page.locator(".overview")).to_be_visible()
        troubles += await troubles_of(page, "overview")
        assert not troubles, "\n".join(troubles)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [320, 390])
async def test_the_header_is_hit_by_a_thumb(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str, width: int
) -> None:
    lesson = await hold_lesson(api)
    url = view_url(school, lesson.class_id, "lesson")
    async with open_tab(browser, url, locale=LANGUAGES[language]) as page:
        await page.set_viewport_size({"width": width, "height": 740})
        await wait_live(page)
        for is_open in (False, True):
            if is_open:
                await page.locator("#top .menu").click()
            small = await page.evaluate(SMALL_TARGETS)
            assert not small, (is_open, small)
            assert await page.evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_dialogs_and_previews_fit(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str
) -> None:
    class_id = (await hold_lesson(api)).class_id
    roster = f"user_id,name,team\n{WORD}1,{LONG},{WORD}\n{WORD}2,{WORD},{LONG}\n"
    url = view_url(school, class_id, "manage")
    async with open_tab(browser, url, locale=LANGUAGES[language]) as page:
        await page.set_viewport_size(NARROW)
        await wait_live(page)
        await page.locator("input[type=file]").first.set_input_files(
            {"name": f"{WORD}.csv", "mimeType": "text/csv", "buffer": roster.encode()}
        )
        await expect(page.locator(".preview").first).to_be_visible()
        troubles = await troubles_of(page, "preview")
        await page.set_viewport_size(WIDE)  # the zoom may change while a dialog is open
        await page.get_by_role("button", name=INVITE[language], exact=True).click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("img")).to_be_visible()
        await page.set_viewport_size(NARROW)
        troubles += await troubles_of(page, "invitation")
        assert not troubles, "\n".join(troubles)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_students_own_page_fits(
    guarded_school: Replica, browser: Browser, language: str
) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        lesson = await hold_lesson(admin)
        feedback = {"grade": 7, "feedback": f"{WORD} {LONG * 3}"}
        await admin.put(f"/submissions/{lesson.submission}", json=feedback)
    url = f"{guarded_school.url}/#token={token(lesson.user)}"
    async with open_tab(browser, url, locale=LANGUAGES[language]) as page:
        await page.set_viewport_size(NARROW)
        await wait_live(page)
        await expect(page.locator(".me .card").first).to_be_visible()
        troubles = await troubles_of(page, "me")
        assert not troubles, "\n".join(troubles)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("join_policy", ["open", "approve", "roster"])
async def test_the_page_that_students_join_by_fits(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str, join_policy: str
) -> None:
    created = await create_class(api, name=f"{LONG} {WORD}", join_policy=join_policy)
    invite = await create(api, f"/classes/{created['id']}/invite")
    async with open_tab(browser, invite["url"], locale=LANGUAGES[language]) as page:
        await page.set_viewport_size(NARROW)
        troubles = await troubles_of(page, "join")
        assert not troubles, "\n".join(troubles)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_without_a_class_fits(
    guarded_school: Replica, browser: Browser, language: str
) -> None:
    url = f"{guarded_school.url}/#token={token(unique(WORD), 'instructor')}"
    async with open_tab(browser, url, locale=LANGUAGES[language]) as page:
        await page.set_viewport_size(NARROW)
        await expect(page.locator(".welcome")).to_be_visible()
        troubles = await troubles_of(page, "welcome")
        assert not troubles, "\n".join(troubles)
