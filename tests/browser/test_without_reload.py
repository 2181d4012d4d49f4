"""What appears by itself in a page that was open before."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page, expect

from tests.browser.page import tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.postgres import Address, environment_of
from tests.support.replicas import Replica
from tests.support.servers import RedisServer
from tests.support.tokens import client, token

NEWCOMER = 1.0  # seconds from a first event to the tile
TRIES = 6


async def test_the_first_notebook_fills_the_view(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    lesson, other = f"{unique()}/lesson.ipynb", unique("a") + ".ipynb"
    async with open_tab(browser, view_url(school, class_id, "notebooks")) as page:
        await wait_live(page)
        none = page.get_by_text("No notebooks have been used yet.")
        await expect(none).to_be_visible()
        await post_as(school, one, "cell_executed", notebookPath=f"./{lesson}")
        await expect(page.locator("caption")).to_have_text(lesson)
        await expect(none).to_be_hidden()
        done = page.locator(".heat[data-kind=success]:not(.legend *)")
        await expect(done).to_have_count(1)
        await post_as(school, two, "cell_executed", notebookPath=lesson, hasError=True)
        await expect(page.locator(".heat[data-kind=failed]:not(.legend *)")).to_have_count(1)
        await post_as(school, two, "cell_executed", notebookPath=lesson)
        await expect(done).to_have_count(2)
        await expect(page.locator(".summary").first).to_contain_text("100 %")
        await post_as(school, one, "cell_executed", notebookPath=other)
        picker = page.locator(".bar select")
        await expect(picker.get_by_role("option")).to_have_count(2)
        await expect(picker.locator("option:checked")).to_have_text(
            lesson
        )  # although `a…` is first
        await post_as(school, two, "cell_executed", notebookPath=other)
        await picker.select_option(other)
        await expect(page.locator("caption")).to_have_text(other)
        await expect(done).to_have_count(2)


async def seconds_until_shown(page: Page, user: str, act: Callable[[], Awaitable[None]]) -> float:
    await act()
    started = time.monotonic()
    await page.wait_for_function(
        "user => [...document.querySelectorAll('.tile strong')].some(e => e.textContent === user)",
        arg=user,
        polling="raf",
    )
    return time.monotonic() - started


async def enrolled_by_api(api: httpx.AsyncClient, class_id: int, user: str) -> None:
    await create(api, f"/classes/{class_id}/students", user_id=user)


async def test_who_is_enrolled_appears_with_their_first_event(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (first,), _ = await create_class_of(api, "first")
    waits = []
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await expect(tile(page, first)).to_be_visible()
        for _ in range(TRIES):
            user = unique("new")
            await enrolled_by_api(api, class_id, user)
            waits.append(
                await seconds_until_shown(page, user, partial(post_as, school, user, "help"))
            )
        await expect(page.locator("#announcer")).to_contain_text(f"{user} is calling")
        await expect(page.locator(".toast")).to_have_count(0)
    assert min(waits) < NEWCOMER, waits


async def test_who_joins_by_the_key_appears_at_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api, join_policy="open"))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    waits = []
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await expect(page.locator("#view")).to_contain_text("No students yet.")

        async def join(user: str) -> None:
            await post(school, event(userId=user), params={"key": key})

        for _ in range(TRIES):
            user = unique("new")
            waits.append(await seconds_until_shown(page, user, partial(join, user)))
    assert min(waits) < NEWCOMER, waits


async def test_who_was_removed_appears_again(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, _), (student, _) = await create_class_of(api, "one", "two")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await api.delete(f"/classes/{class_id}/students/{student}")
        for _ in range(2):
            new = unique("new")
            await enrolled_by_api(api, class_id, new)
            await post_as(school, new, "cell_executed")
            await expect(tile(page, new)).to_be_visible()
        await expect(tile(page, user)).to_have_count(0)
        await enrolled_by_api(api, class_id, user)
        await post_as(school, user, "cell_executed")
        await expect(tile(page, user)).to_be_visible()


async def test_who_is_enrolled_elsewhere_appears_at_another_replica(
    postgres: Address, redis_server: RedisServer, tmp_path: Path, browser: Browser
) -> None:
    redis = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)}
    environments = [environment_of(postgres, tmp_path / name) | redis for name in ("a", "b")]
    with Replica(environments[0]) as shown_by, Replica(environments[1]) as other:
        async with httpx.AsyncClient(base_url=f"{other.url}/api/v1", timeout=15) as api:
            class_id, _, _ = await create_class_of(api, "first")
            waits = []
            async with open_tab(browser, view_url(shown_by, class_id)) as page:
                await wait_live(page)
                await expect(page.locator(".tile")).to_have_count(1)
                for _ in range(TRIES):
                    user = unique("new")
                    await enrolled_by_api(api, class_id, user)
                    waits.append(
                        await seconds_until_shown(
                            page, user, partial(post_as, other, user, "cell_executed")
                        )
                    )
    assert min(waits) < NEWCOMER, waits


async def test_a_hand_in_appears_beside_what_is_being_written(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    assignment = await create_assignment(api, class_id=class_id, title="第1回")
    handed_in = {"assignment_id": assignment["id"], "student_id": student}
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await wait_live(page)
        card = page.locator(".assignments .card")
        await expect(card).to_contain_text("0 submissions")
        await card.get_by_text("Edit").click()
        await card.get_by_label("Description").fill("まだ書いている")
        submission = await create(api, "/submissions", **handed_in)
        await expect(card).to_contain_text("1 submission, 0 graded")
        await expect(card.locator("li")).to_contain_text(f"{user} · attempt 1")
        await api.put(f"/submissions/{submission['id']}", json={"grade": 7})
        await expect(card).to_contain_text("1 submission, 1 graded")
        await expect(card.locator("li")).to_contain_text("grade 7")
        await expect(card.get_by_label("Description")).to_have_value("まだ書いている")
        await create_assignment(api, class_id=class_id, title="第2回")
        await page.goto(view_url(school, class_id, f"student/{student}"))
        submissions = page.get_by_role("link", name="attempt")
        await expect(submissions).to_have_count(1)
        await create(api, "/submissions", **handed_in)
        await expect(submissions).to_have_count(2)


async def test_a_hand_in_appears_on_the_students_own_page(
    guarded_school: Replica, browser: Browser
) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, (user,), (student,) = await create_class_of(admin, "hanako")
        assignment = await create_assignment(admin, class_id=class_id, title="第1回")
        async with open_tab(browser, f"{guarded_school.url}/#token={token(user)}") as page:
            await wait_live(page)
            work = page.locator(".card").filter(has_text="第1回")
            await expect(work).to_contain_text("not submitted")
            await create(admin, "/submissions", assignment_id=assignment["id"], student_id=student)
            await expect(work).to_contain_text("attempt 1")
            await expect(page.locator(".toast")).to_have_count(0)
