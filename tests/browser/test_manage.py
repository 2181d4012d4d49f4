"""Classes, rosters and assignments."""

import re
from typing import Any

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.network import cuttable_link
from tests.support.replicas import Replica


async def test_class_is_filled_assigned_and_graded(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        heading = page.get_by_role("heading", name="New assignment")
        handing = page.locator("form").filter(has=heading)
        await handing.get_by_label("Title").fill("第1回")
        await handing.get_by_label("Notebook path").fill(f"{user}.ipynb")
        await handing.get_by_label("Due").fill("2030-04-01T12:00")
        await handing.get_by_role("button", name="Assign").click()
        await expect(page.locator(".assignments .card")).to_contain_text("第1回")
        await page.get_by_label("Or paste a list").fill(f"{user}-2,次郎,,班1")
        await page.get_by_role("button", name="Check the list").click()
        await page.get_by_role("button", name="Enrol 1 person").click()
        await expect(page.locator(".toast").last).to_contain_text("1 enrolled.")
        (assignment,) = (await api.get("/assignments", params={"class_id": class_id})).json()
        submissions = [
            await create(api, "/submissions", assignment_id=assignment["id"], student_id=student)
            for _ in range(2)
        ]
        await page.goto(view_url(school, class_id, f"submission/{submissions[0]['id']}"))
        await page.get_by_label("Grade").fill("9.5")
        await page.get_by_label("Feedback").fill("よくできました")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".toast").last).to_contain_text("Saved.")
        graded: dict[str, Any] = (await api.get(f"/submissions/{submissions[0]['id']}")).json()
        assert (graded["grade"], graded["feedback"]) == (9.5, "よくできました")
        await page.get_by_role("link", name="Next ungraded").click()
        await expect(page).to_have_url(re.compile(f"submission/{submissions[1]['id']}$"))
        await page.get_by_role("link", name="Manage").first.click()
        await expect(page.locator(".assignments .card")).to_contain_text("2 submissions, 1 graded")
        await page.goto(view_url(school, class_id))
        await expect(tile(page, "次郎")).to_contain_text("班1")


async def test_class_and_assignments_are_edited_and_deleted(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    kept = await create_assignment(
        api, class_id=class_id, title="kept", due_date="2030-04-01T03:00:00Z"
    )
    await create_assignment(api, class_id=class_id, title="gone")
    submissions = await create(api, "/submissions", assignment_id=kept["id"], student_id=student)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        dialog = page.get_by_role("dialog")

        async def delete(title: str) -> None:
            card = page.locator(".assignments .card").filter(has_text=title)
            await card.get_by_text("Edit").click()
            await card.get_by_role("button", name="Delete the assignment").click()
            await dialog.get_by_role("button", name="Delete").click()

        await delete("gone")
        await expect(page.locator(".assignments .card")).to_have_count(1)
        await delete("kept")
        await expect(dialog).to_contain_text("Students have submitted work.")
        await page.keyboard.press("Escape")
        card = page.locator(".assignments .card")
        await card.get_by_label("Title").fill("変更後")
        await card.get_by_label("Points").fill("20")
        await card.get_by_role("button", name="Save").click()
        await expect(card).to_contain_text("変更後")
        changed = (await api.get(f"/assignments/{kept['id']}")).json()
        assert (changed["title"], changed["points"]) == ("変更後", 20)
        assert changed["due_date"] == kept["due_date"]
        await page.get_by_role("button", name="Delete the class").click()
        await dialog.get_by_role("button", name="Delete").click()
        await expect(dialog).to_contain_text("Delete the assignments first, or archive the class")
        await dialog.get_by_role("button", name="Cancel").click()
        this = page.locator("form").filter(has=page.get_by_label("Active (untick"))
        await this.get_by_label("Name").fill("物理")
        await this.get_by_label("Active (untick").uncheck()
        await this.get_by_role("button", name="Save").click()
        await expect(page.locator("header select")).to_contain_text("物理 (archived)")
        changed = (await api.get(f"/classes/{class_id}")).json()
        assert (changed["name"], changed["is_active"]) == ("物理", False)
        await api.delete(f"/submissions/{submissions['id']}")
        await api.delete(f"/assignments/{kept['id']}")
        await page.get_by_role("button", name="Delete the class").click()
        await dialog.get_by_role("button", name="Delete").click()
        await expect(page.locator("header select")).not_to_contain_text("物理")
        assert (await api.get(f"/classes/{class_id}")).status_code == 404


async def test_roster_changes_roles_and_removes(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        row = page.locator(".people tbody tr")
        await row.filter(has_text=one).get_by_role("combobox").select_option("Assistant")
        await expect(row.filter(has_text=one).get_by_role("combobox")).to_have_value("assistant")
        await page.get_by_role("button", name=f"Remove {two}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(row).to_have_count(1)
        roster = (await api.get(f"/classes/{class_id}/students")).json()
        assert [(each["user_id"], each["role"]) for each in roster] == [(one, "assistant")]


async def test_who_waits_is_on_the_roster_but_not_shown(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    key = (await create(api, "/ingest-keys", name="x", class_id=class_id))["key"]
    user = unique("hanako")
    await api.post("/events", params={"key": key}, json=[{"eventType": "help", "userId": user}])
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await expect(page.locator(".tile")).to_have_count(0)
        await page.goto(view_url(school, class_id, "manage"))
        role = page.get_by_role("combobox", name=f"Role of {user}")
        await expect(role).to_have_value("waiting")
        await role.select_option("Student")
        await expect(role.get_by_role("option")).to_have_count(3)
        await page.goto(view_url(school, class_id))
        await expect(tile(page, user)).to_be_visible()


async def test_a_line_of_the_roster_is_edited(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await api.put(f"/students/{student}", json={"name": "記録", "team": "班1"})
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_role("button", name="Edit 記録").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_label("Team")).to_have_value("班1")
        await dialog.get_by_label("Name").fill("山田 花子")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        row = page.locator(".people tbody tr").filter(has_text=user)
        await expect(row).to_contain_text("山田 花子")
        await api.put(f"/students/{student}", json={"name": "x", "team": "班2"})
        (entry,) = (await api.get(f"/classes/{class_id}/students")).json()
        assert (entry["name"], entry["team"]) == ("山田 花子", "班2")  # the team was not changed
        await page.goto(view_url(school, class_id))
        await expect(tile(page, "山田 花子")).to_contain_text("班1")


async def test_a_class_is_copied_for_the_next_term(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    await create_assignment(api, class_id=class_id, title="第1回")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        heading = page.get_by_role("heading", name="Copy for the next term")
        form = page.locator("form").filter(has=heading)
        await expect(form.get_by_label("Name")).to_have_value("数学")
        await form.get_by_label("Name").fill("数学 後期")
        await form.get_by_role("button", name="Copy").click()
        await expect(page.locator("header select option:checked")).to_have_text("数学 後期")
        await expect(page.locator(".assignments .card")).to_contain_text("第1回")
        await expect(page.get_by_text("Nobody is enrolled yet.")).to_be_visible()


async def test_role_stays_when_the_change_fails(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with cuttable_link(school.port) as network:
        url = f"http://127.0.0.1:{network.port}/#/class/{class_id}/manage"
        async with open_tab(browser, url) as page:
            role = page.get_by_role("combobox", name=f"Role of {user}")
            await expect(role).to_have_value("student")
            await network.cut()
            await role.select_option("Assistant")
            await expect(page.locator(".toast").first).to_contain_text("Failed")
            await expect(role).to_have_value("student")
