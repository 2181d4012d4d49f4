"""What a teacher does while an answer is on its way."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import hold, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import event, post, post_as
from tests.support.lms import create, create_assignment, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.waiting import eventually


async def test_feedback_that_is_typed_while_the_grade_is_saved_stays(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    named = {"assignment_id": assignment, "student_id": student}
    submission, other = [await create(api, "/submissions", **named) for _ in range(2)]
    path = f"submission/{submission['id']}"
    async with open_tab(browser, view_url(school, class_id, path)) as page:
        await page.get_by_label("Grade").fill("9")
        held = await hold(page, f"**/submissions/{submission['id']}")
        await page.keyboard.press("Enter")
        (saving,) = await eventually(lambda: held, bool)
        await page.get_by_label("Feedback").fill("Well done")
        async with page.expect_response("**/submissions?assignment_id=*"):
            await saving.continue_()
        await expect(page.get_by_role("link", name="Next ungraded")).to_have_attribute(
            "href", f"#/class/{class_id}/submission/{other['id']}"
        )
        await expect(page.get_by_label("Feedback")).to_have_value("Well done")
        await expect(page.get_by_label("Feedback")).to_be_focused()


async def test_a_list_that_is_pasted_while_a_role_is_saved_stays(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        role = page.get_by_label("Role of")
        await expect(role).to_have_value("student")
        held = await hold(page, f"**/classes/{class_id}/students?*")
        await role.select_option("Assistant")
        await eventually(lambda: held, bool)
        pasted = page.get_by_label("Or paste a list")
        await pasted.fill(f"{user}-2,次郎")
        await held[0].continue_()
        await expect(page.get_by_role("row").filter(has_text=user)).to_contain_text("Assistant")
        await expect(role).to_have_value("assistant")
        await expect(pasted).to_have_value(f"{user}-2,次郎")
        await expect(pasted).to_be_focused()


async def test_the_next_list_stays_while_one_is_enrolled(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        pasted = page.get_by_label("Or paste a list")
        await pasted.fill(f"{user}-2,次郎")
        await page.get_by_role("button", name="Check the list").click()
        enrol = page.get_by_role("button", name="Enrol 1 person")
        await expect(enrol).to_be_visible()
        held = await hold(page, "**/roster?*")
        await enrol.click()
        (enrolling,) = await eventually(lambda: held, bool)
        await pasted.fill(f"{user}-3,三郎")
        await enrolling.continue_()
        await expect(page.locator(".toast").last).to_contain_text("1 enrolled.")
        await expect(page.get_by_role("heading", name="Roster (2)")).to_be_visible()
        await expect(pasted).to_have_value(f"{user}-3,三郎")
        await expect(pasted).to_be_focused()


async def test_a_receiver_that_is_typed_while_another_is_tested_stays(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    receiver = {
        "class_id": class_id,
        "name": "chat",
        "url": "json://127.0.0.1:9",
        "kinds": ["help"],
    }
    await create(api, "/notification-receivers", **receiver)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        held = await hold(page, "**/test")
        table = page.get_by_role("region", name="Notifications")
        await table.get_by_role("button", name="Send a test").click()
        (test,) = await eventually(lambda: held, bool)
        url = page.get_by_label("Webhook or Apprise URL")
        await url.fill("json://next.example")
        await test.continue_()
        await expect(table).to_contain_text("the operator does not allow")
        await expect(url).to_have_value("json://next.example")


async def test_older_attempts_are_not_shown_below_another_filter(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    path = unique("lesson") + ".ipynb"
    place = {"notebookPath": path, "cellId": "a", "cellIndex": 0}
    for number in range(32):
        said = place | {"code": f"{number}", "hasError": number == 0}
        await post_as(school, user, "cell_executed", **said)
    (notebook,) = (await api.get("/notebooks", params={"path": path})).json()
    view = f"attempts/{notebook['id']}?place=id:a"
    async with open_tab(browser, view_url(school, class_id, view)) as page:
        cards = page.locator(".attempts .card")
        more = page.get_by_role("button", name="Show more")
        await expect(cards).to_have_count(30)
        held = await hold(page, "**/attempts?*cursor=*")
        await more.click()
        (older,) = await eventually(lambda: held, bool)
        await page.locator(".bar select").first.select_option("Only errors")
        await expect(cards).to_have_count(1)
        async with page.expect_response("**/attempts?*cursor=*"):
            await older.continue_()
        await page.evaluate("new Promise(requestAnimationFrame)")
        await expect(cards).to_have_count(1)


async def test_more_can_be_asked_for_again_after_it_failed(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    await post(school, *(event(userId=user, code=f"{number}") for number in range(60)))
    async with open_tab(browser, view_url(school, class_id, f"student/{student}")) as page:
        runs = page.locator(".runs .card")
        more = page.get_by_role("button", name="Show more")
        await more.wait_for()
        shown = await runs.count()
        held = await hold(page, "**/timeline?*cursor=*")
        await more.click()
        (failing,) = await eventually(lambda: held, bool)
        await failing.abort()
        await expect(page.get_by_role("alert").first).to_contain_text("Failed")
        await page.unroute("**/timeline?*cursor=*")
        await more.click()
        await expect(runs).to_have_count(60)
        assert 0 < shown < 60


async def test_a_double_click_assigns_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        heading = page.get_by_role("heading", name="New assignment")
        form = page.locator("form").filter(has=heading)
        await form.get_by_label("Title").fill("Lesson 1")
        await form.get_by_label("Notebook path").fill("lesson.ipynb")
        await form.get_by_role("button", name="Assign").dblclick()
        await expect(page.locator(".assignments .card")).to_have_count(1)
        await page.reload()
        await expect(page.locator(".assignments .card")).to_have_count(1)


async def test_what_is_changed_while_it_is_saved_is_saved_next(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    named = {"assignment_id": assignment, "student_id": student}
    submission = await create(api, "/submissions", **named)
    path = f"submission/{submission['id']}"
    async with open_tab(browser, view_url(school, class_id, path)) as page:
        grade = page.get_by_label("Grade")
        await grade.fill("8")
        held = await hold(page, f"**/submissions/{submission['id']}")
        await grade.press("Enter")
        await eventually(lambda: held, bool)
        await grade.fill("9")
        await grade.press("Enter")
        await eventually(lambda: held, lambda held: len(held) == 2)
        for each in held:
            async with page.expect_response(f"**/submissions/{submission['id']}"):
                await each.continue_()
    assert (await api.get(f"/submissions/{submission['id']}")).json()["grade"] == 9


async def test_a_late_list_of_classes_does_not_change_the_picker(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "students")) as page:
        await wait_live(page)
        held = await hold(page, "**/overview?*")
        await page.get_by_role("link", name="Cell Monitor").click()
        (late,) = await eventually(lambda: held, bool)
        await page.get_by_role("link", name="Manage").click()
        await expect(page.get_by_role("heading", name="New assignment")).to_be_visible()
        async with page.expect_response("**/overview?*"):
            await late.continue_()
        await page.evaluate("new Promise(requestAnimationFrame)")
        await expect(page.locator("header select")).to_have_value(str(class_id))


async def test_the_chart_follows_after_replay_was_pressed_too_early(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "students")) as page:
        await wait_live(page)
        held = await hold(page, "**/activity?*")
        await page.get_by_role("link", name="Look back").click()
        await eventually(lambda: held, bool)
        await page.get_by_role("button", name="Replay").click()
        await held[0].continue_()
        await page.unroute("**/activity?*")
        await post_as(school, user, "cell_executed")
        await expect(page.locator(".totals")).to_contain_text("runs 1")


async def test_an_invitation_opens_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "lesson")) as page:
        await wait_live(page)
        held = await hold(page, "**/invite")
        invite = page.get_by_role("button", name="Invite", exact=True)
        await invite.dblclick()
        await eventually(lambda: held, bool)
        for each in held:
            await each.continue_()
        await expect(page.get_by_role("dialog")).to_have_count(1)
        await page.get_by_role("dialog").get_by_role("button", name="Close").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_focus_stays_when_a_call_is_settled_after_its_view_was_left(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await post_as(school, user, "help")
    async with open_tab(browser, view_url(school, class_id, "help")) as page:
        await page.get_by_label("Your name").fill("Sato")
        await page.get_by_role("button", name="Take it").click()
        held = await hold(page, "**/resolve")
        await page.get_by_role("button", name="Mark settled").click()
        (settling,) = await eventually(lambda: held, bool)
        await page.get_by_role("link", name="Manage").click()
        pasted = page.get_by_label("Or paste a list")
        await pasted.focus()
        async with page.expect_response("**/resolve"):
            await settling.continue_()
        await page.evaluate("new Promise(requestAnimationFrame)")
        await expect(pasted).to_be_focused()
