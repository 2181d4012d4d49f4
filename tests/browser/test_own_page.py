"""A student's own page."""

from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.page import HOSTILE, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token

PHONE = ViewportSize(width=390, height=844)


async def post_own(replica: Replica, user: str, **fields: object) -> None:
    async with client(replica.url, token(user)) as student:
        answer = await student.post("/events", json=[event(userId=user, **fields)])
    assert answer.status_code == 202, answer.text


async def sign_in(page: Page, user: str) -> None:
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Your token").fill(token(user))
    await dialog.get_by_role("button").click()
    await wait_live(page)


async def test_a_student_sees_what_is_stored_of_them(
    guarded_school: Replica, browser: Browser
) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, (user, other), (student, _) = await create_class_of(admin, "hanako", "taro")
        code = (await admin.get(f"/classes/{class_id}")).json()["class_code"]
        path = unique("lesson") + ".ipynb"
        notebook = await create(admin, "/notebooks", class_id=class_id, path=path)
        handed_out = {"class_id": class_id, "notebook_id": notebook["id"], "points": 10}
        assignment = await create_assignment(admin, title="第1回", **handed_out)
        line = {"number": 7, "name": "花子", "kana": "はなこ", "seat": "B3"}
        await admin.put(f"/classes/{class_id}/students/{student}", json=line)
        for who in (user, other):
            await post_own(guarded_school, who, notebookPath=path, code=f"print('{who}')")
        async with open_tab(browser, guarded_school.url) as page:
            await page.set_viewport_size(PHONE)
            await sign_in(page, user)
            work = page.locator(".card").filter(has_text="第1回")
            await expect(work).to_contain_text("1 cell run, 1 of them successfully")
            await expect(work).to_contain_text("not submitted")
            await expect(page.locator(".runs .card")).to_have_count(1)
            studied = page.locator(".card").filter(has_text="Student · sent with your own token")
            await expect(studied).to_contain_text("1 run")
            await expect(studied).to_contain_text("no. 7 · 花子 · はなこ · seat B3")
            await post_own(guarded_school, user, notebookPath=path, cellId="b", classCode=code)
            await expect(page.locator(".runs .card")).to_have_count(2)
            await expect(studied).to_contain_text("2 runs")
            await expect(work).to_contain_text("2 cells run, 2 of them successfully")
            handed_in = {"assignment_id": assignment["id"], "student_id": student}
            submission = await create(admin, "/submissions", **handed_in)
            mark = {"grade": 9.5, "feedback": HOSTILE}
            await admin.put(f"/submissions/{submission['id']}", json=mark)
            await expect(work).to_contain_text("Grade: 9.5 out of 10")
            await expect(work).to_contain_text(HOSTILE)
            await expect(page.locator(".toast")).to_contain_text("Your work was graded.")
            await expect(page.locator("body")).not_to_contain_text(other)
            assert await violations(page) == []
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"]
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_role("dialog")).to_be_visible()
            await expect(page.locator("body")).not_to_contain_text(user)


async def test_runs_say_in_which_class_they_were(guarded_school: Replica, browser: Browser) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        one, two = [await create_class(admin, name=name) for name in ("代数", "幾何")]
        user = unique("hanako")
        for each in (one, two):
            await create(admin, f"/classes/{each['id']}/students", user_id=user)
    for each in (one, two):
        await post_own(guarded_school, user, classCode=each["class_code"])
    await post_own(guarded_school, user)
    url = f"{guarded_school.url}/#token={token(user)}"
    async with open_tab(browser, url) as page:
        runs = page.locator(".runs .card")
        await expect(runs).to_contain_text(["In no class", "幾何", "代数"])


async def test_before_anything_is_stored_the_page_says_so(
    guarded_school: Replica, browser: Browser
) -> None:
    url = f"{guarded_school.url}/#token={token(unique('stranger'))}"
    async with open_tab(browser, url) as page:
        await expect(page.locator("#view")).to_contain_text("Nothing is stored about you yet.")
        await page.goto(f"{guarded_school.url}/#/class/1/students")
        await expect(page.locator("#view")).to_contain_text("Nothing is stored about you yet.")


async def test_an_ingest_token_opens_nothing(guarded_school: Replica, browser: Browser) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, _, _ = await create_class_of(admin, "hanako")
        (issued,) = (await admin.post(f"/classes/{class_id}/tokens", json={})).json()
    async with open_tab(browser, f"{guarded_school.url}/#token={issued['token']}") as page:
        await expect(page.get_by_role("dialog")).to_contain_text("That token was not accepted.")
        await expect(page.locator("#view")).to_have_text("")
