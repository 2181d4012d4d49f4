"""From an empty server to a student's tile, and the page that students join by."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.page import hold, seat, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.lms import create, create_class, create_class_of, unique
from tests.support.replicas import RUN, Replica
from tests.support.waiting import eventually

PHONE = ViewportSize(width=390, height=844)


@pytest.fixture
def classroom(environment: dict[str, str]) -> Iterator[Replica]:
    command = (*RUN, "serve", "--class", "Python I")
    with Replica(environment | {"HOST": "127.0.0.1"}, command=command) as replica:
        yield replica


async def invite_link(page: Page) -> str:
    return await page.get_by_label("Link for students").input_value()


async def scrolls_sideways(page: Page) -> bool:
    wide: bool = await page.evaluate("document.body.scrollWidth > innerWidth")
    return wide


async def test_a_first_start_leads_to_the_first_tile_by_the_page_alone(
    replica: Replica, browser: Browser
) -> None:
    async with open_tab(browser, replica.url) as teacher:
        await teacher.get_by_label("Name").fill("Python I")
        await teacher.get_by_role("button", name="Create").click()
        dialog = teacher.get_by_role("dialog")
        await expect(dialog).to_contain_text("Invite students to “Python I”")
        await expect(dialog.get_by_role("img")).to_have_js_property("complete", True)
        assert await violations(teacher) == []
        link = await invite_link(teacher)
        async with open_tab(browser, link) as student:
            await expect(student.get_by_role("heading", level=1)).to_have_text("Python I")
            address = await student.get_by_label("Address for the extension").input_value()
        await dialog.get_by_role("button", name="Close").click()
        await wait_live(teacher)
        async with httpx.AsyncClient(timeout=15) as extension:
            answer = await extension.post(address, json=[event(userName="花子")])
            assert answer.json()["stored"] == 1
        await expect(seat(teacher, "花子")).to_be_visible()
        await expect(teacher.get_by_label("Assignment")).to_have_text("No assignment")


async def test_an_invitation_is_copied_renewed_and_ended(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api, name="数学"))["id"]
    async with open_tab(browser, view_url(school, class_id)) as page:
        await page.get_by_role("button", name="Invite", exact=True).click()
        dialog = page.get_by_role("dialog", name="Invite students")
        first = await invite_link(page)
        await dialog.get_by_role("button", name="Copy the link").click()
        await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        await expect(dialog).to_contain_text('cell-monitor serve --class "数学"')
        await dialog.get_by_role("button", name="New link").click()
        question = page.get_by_role("dialog", name="Make a new link?")
        await question.get_by_role("button", name="New link").click()
        await expect(dialog.get_by_label("Link for students")).not_to_have_value(first)
        second = await invite_link(page)
        assert (await api.get(f"/classes/{class_id}/invite")).json()["url"] == second
        await dialog.get_by_role("button", name="Turn off the link").click()
        question = page.get_by_role("dialog", name="Turn off the link?")
        await question.get_by_role("button", name="Turn off the link").click()
        await expect(page.locator(".toast")).to_contain_text("The link is turned off.")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert (await api.get(f"/classes/{class_id}/invite")).status_code == 404


async def test_inviting_is_offered_once_the_class_is_known(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api))["id"]
    async with open_tab(browser, "about:blank") as page:
        held = await hold(page, "**/api/v1/classes?*")
        await page.goto(view_url(school, class_id))
        await expect(page.get_by_role("link", name="Cell Monitor")).to_be_visible()
        (route,) = await eventually(lambda: held, bool)
        invite = page.get_by_role("button", name="Invite", exact=True)
        await expect(invite).to_be_hidden()  # a click would do nothing
        await route.continue_()
        await invite.click()
        await expect(page.get_by_label("Link for students")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("locale", "heading", "copied", "other"),
    [
        ("en-US", "Connect", "Copied", "日本語"),
        ("ja-JP", "接続のしかた", "コピーしました", "English"),
    ],
)
async def test_the_join_page_fits_a_phone(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    locale: str,
    heading: str,
    copied: str,
    other: str,
    scheme: str,
) -> None:
    class_id = (await create_class(api, name="情報基礎 A (月曜 3 限)" * 3))["id"]
    url = (await create(api, f"/classes/{class_id}/invite"))["url"]
    async with open_tab(browser, url, locale=locale, color_scheme=scheme) as page:
        await page.set_viewport_size(PHONE)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await page.locator("summary").click()
        assert not await scrolls_sideways(page)
        assert await violations(page) == []
        await page.locator("button[data-copies]").click()
        await expect(page.get_by_role("button", name=copied)).to_be_visible()
        await page.get_by_role("link", name=other).click()
        await expect(page).to_have_url(re.compile(r"\?lang=(ja|en)$"))
        await expect(page.get_by_role("heading", name=heading)).to_have_count(0)


@pytest.mark.parametrize(
    ("policy", "says", "omits"),
    [
        ("open", "Your teacher now sees your name", "lets you in"),
        ("approve", "Your teacher lets you in", "now sees your name"),
        ("roster", "only people on the class's list", "lets you in"),
    ],
)
async def test_the_join_page_says_how_the_class_lets_students_in(
    school: Replica, api: httpx.AsyncClient, browser: Browser, policy: str, says: str, omits: str
) -> None:
    class_id = (await create_class(api, join_policy=policy))["id"]
    url = (await create(api, f"/classes/{class_id}/invite"))["url"]
    async with open_tab(browser, url) as page:
        steps = page.locator("ol")
        text = " ".join((await steps.inner_text()).split())
        assert says in text
        assert omits not in text


async def test_each_student_gets_their_own_address(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await page.get_by_role("button", name="Invite", exact=True).click()
        own = page.get_by_role("checkbox", name="Each student gets their own address")
        await own.click()
        question = page.get_by_role("dialog", name="Make a new link by which")
        await question.get_by_role("button", name="New link").click()
        await expect(own).to_be_checked()
        url = await invite_link(page)
    async with open_tab(browser, url) as page:
        await page.set_viewport_size(PHONE)
        await expect(page.get_by_label("Address for the extension")).to_have_count(1)
        await expect(page.get_by_label("Address for the extension")).not_to_be_visible()
        await page.get_by_label("Your ID").fill(f"{user}x")
        await page.get_by_role("button", name="Get my address").click()
        await expect(page.get_by_role("alert")).to_contain_text("not on the class's list")
        await page.get_by_label("Your ID").fill(user)
        assert await violations(page) == []
        await page.get_by_role("button", name="Get my address").click()
        address = page.get_by_label("Address for the extension")
        await expect(address).to_have_value(re.compile(r"/api/v1/events\?key=cms_"))
        mail = page.get_by_role("link", name="mail it to yourself")
        await expect(mail).to_have_attribute("href", re.compile("^mailto:.*cms_"))
        assert not await scrolls_sideways(page)
        assert await violations(page) == []
    async with open_tab(browser, url, locale="ja-JP") as page:
        await page.get_by_label("学籍番号").fill(user)
        await page.get_by_role("button", name="アドレスを受け取る").click()
        await expect(page.get_by_role("alert")).to_contain_text("すでに受け取られています")


async def test_an_ended_link_says_whom_to_ask(school: Replica, browser: Browser) -> None:
    async with open_tab(browser, f"{school.url}/join/{unique()}", locale="ja-JP") as page:
        await page.set_viewport_size(PHONE)
        await expect(page.get_by_role("heading")).to_have_text("このリンクは使えません")
        assert await violations(page) == []


async def test_the_printed_links_open_the_class(classroom: Replica, browser: Browser) -> None:
    (link,) = re.findall(r"^  teacher   (\S+)$", classroom.output(), re.M)
    async with open_tab(browser, link) as page:
        await expect(page).to_have_url(re.compile(r"#/class/\d+$"))
        await wait_live(page)
        await expect(page.get_by_role("button", name="Invite students")).to_be_visible()
        assert "token" not in page.url


async def test_a_demo_is_marked_and_removed(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    users = [{"user_id": unique("demo")}]
    demo = await create(api, "/demos", name=unique("demo"), students=users)
    async with open_tab(browser, view_url(school, demo["class_id"], "manage")) as page:
        option = page.locator("header option:checked")
        await expect(option).to_contain_text("(demo)")
        await page.get_by_role("button", name="Remove the demo").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("deleted for good")
        await dialog.get_by_role("button", name="Remove the demo").click()
        await expect(page.locator(".toast")).to_contain_text("The demo was removed.")
        assert (await api.get(f"/classes/{demo['class_id']}")).status_code == 404
