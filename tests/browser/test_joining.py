"""Who joins a class: let in, refused, enrolled, and what was turned away."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import view_url, violations
from tests.support.browser import open_tab
from tests.support.lms import create, create_class, unique
from tests.support.replicas import Replica
from tests.support.roster import connected, enrol


async def post(replica: Replica, key: str | None, user_id: str, **fields: Any) -> None:
    body = [{"eventType": "cell_executed", "userId": user_id} | fields]
    async with httpx.AsyncClient() as extension:
        answer = await extension.post(
            replica.events_url, json=body, params={"key": key} if key else {}
        )
    assert answer.status_code == 202, answer.text


async def class_with_key(api: httpx.AsyncClient, **fields: Any) -> tuple[int, str]:
    class_id = (await create_class(api, **fields))["id"]
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    return class_id, str(key["key"])


async def roles(replica: Replica, class_id: int) -> dict[str, str]:
    async with connected(replica) as connection:
        rows = await connection.fetch(
            """SELECT user_id, role FROM student_classes JOIN students ON students.id = student_id
            WHERE class_id = $1""",
            class_id,
        )
    return {row["user_id"]: row["role"] for row in rows}


async def test_a_teacher_lets_in_and_refuses(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, key = await class_with_key(api, join_policy="approve")
    one, two, three, four = (unique(name) for name in ("one", "two", "three", "four"))
    for user_id in (one, two, three, four):
        await post(school, key, user_id, userName=f"名 {user_id}")
    async with open_tab(browser, view_url(school, class_id)) as page:
        group = page.locator(".newcomers").filter(has_text="waiting to be let in")
        await expect(group).to_contain_text("4 people are waiting to be let in")
        await group.get_by_text("Show who").click()
        await group.get_by_role("button", name=f"Let 名 {one} ({one}) in").click()
        await expect(group).to_contain_text("3 people are waiting")
        await group.get_by_role("button", name=f"Refuse 名 {two}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Refuse").click()
        await expect(group).to_contain_text("2 people are waiting")
        await group.get_by_role("button", name="Let everyone in").click()
        await expect(group).to_be_hidden()
        await expect(page.locator(".toast").last).to_contain_text("2 people let in.")
    assert await roles(school, class_id) == dict.fromkeys((one, three, four), "student")


async def test_who_was_heard_in_no_class_is_enrolled(replica: Replica, browser: Browser) -> None:
    await post(replica, None, "hanako")
    await post(replica, None, "taro", userName="太郎")
    async with open_tab(browser, replica.url) as page:
        welcome = page.locator(".welcome")
        await expect(welcome).to_contain_text("2 students are already sending.")
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
        class_id = (await create_class(api))["id"]
    async with open_tab(browser, view_url(replica, class_id)) as page:
        group = page.locator(".newcomers").filter(has_text="in no class")
        await expect(group).to_contain_text("2 students in no class are sending events")
        await group.get_by_text("Show who").click()
        await group.get_by_role("button", name="Enrol 太郎 (taro)").click()
        await expect(group).to_contain_text("1 student in no class is sending events")
        await group.get_by_role("button", name="Enrol them in this class").click()
        await expect(group).to_be_hidden()
    assert await roles(replica, class_id) == {"hanako": "student", "taro": "student"}


async def test_what_was_turned_away_is_folded_below(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, key = await class_with_key(api, join_policy="roster")
    silent, stranger = unique("silent"), unique("<b>x</b>")
    async with connected(school) as connection:
        await enrol(connection, class_id, silent)
    for _ in range(2):
        await post(school, key, stranger)
    async with open_tab(browser, view_url(school, class_id)) as page:
        fold = page.locator(".refusals")
        summary = fold.locator("summary")
        await expect(summary).to_contain_text("Kept out of this class: 2 events")
        await expect(summary).to_contain_text("1 student on the roster has sent nothing yet")
        await expect(fold.get_by_text(stranger)).to_be_hidden()
        await summary.click()
        line = fold.get_by_role("listitem").filter(has_text=stranger)
        await expect(line).to_contain_text("Not on the roster: 2 events from 1 ID")
        await expect(fold.get_by_text(silent)).to_be_visible()


async def test_a_class_has_its_policy(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api))["id"]
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        form = page.locator("form").filter(has=page.get_by_label("Active (untick"))
        policy = form.get_by_label("Who may join with the link")
        await expect(policy).to_have_value("open")
        await policy.select_option("Those a teacher lets in")
        await form.get_by_label("New students a day").fill("20")
        await form.get_by_role("button", name="Save").click()
        await expect(page.locator(".toast").last).to_contain_text("Saved.")
    changed = (await api.get(f"/classes/{class_id}")).json()
    assert (changed["join_policy"], changed["max_new_names"]) == ("approve", 20)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser, scheme: str
) -> None:
    class_id, key = await class_with_key(api, join_policy="approve")
    await post(school, key, unique("waiting"))
    await post(school, None, unique("heard"))
    async with connected(school) as connection:
        await enrol(connection, class_id, unique("silent"))
        await connection.execute(
            "SELECT note_refusals($1, 'ended_key', ARRAY['a'], ARRAY[3])", class_id
        )
    async with open_tab(browser, view_url(school, class_id), color_scheme=scheme) as page:
        await unfold(page)
        assert await violations(page) == []


async def unfold(page: Page) -> None:
    await expect(page.locator(".newcomers:visible")).to_have_count(2)
    await expect(page.locator(".refusals")).to_be_visible()
    await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
