"""学生 or 生徒: what a class calls its learners in Japanese."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import view_url, wait_live
from tests.support.browser import open_tab
from tests.support.lms import create_class_of
from tests.support.replicas import Replica


async def test_a_class_is_shown_with_its_own_word(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    other_id, _, _ = await create_class_of(api, "taro")
    await api.put(f"/classes/{class_id}", json={"name": "学生のための Python"})
    url = view_url(school, class_id, "manage")
    async with open_tab(browser, url, locale="ja-JP") as page:
        await wait_live(page)
        heading = page.get_by_role("heading", name="ごとの専用アドレス")
        await expect(heading).to_have_text("学生ごとの専用アドレス")
        form = page.locator("form").filter(has=page.get_by_label("学習者の呼び方")).first
        await form.get_by_label("学習者の呼び方").select_option("生徒（高校など）")
        await form.get_by_role("button", name="保存").click()
        await expect(heading).to_have_text("生徒ごとの専用アドレス")
        await expect(page.get_by_role("option", name="生徒", exact=True)).not_to_have_count(0)
        choice = form.get_by_label("学習者の呼び方")
        await expect(choice).to_have_value("pupil")
        await expect(choice.get_by_role("option")).to_have_text(
            ["学生（大学など）", "生徒（高校など）"]
        )
        await expect(page).to_have_title("学生のための Python — Cell Monitor")
        await page.goto(view_url(school, other_id, "manage"))
        await expect(heading).to_have_text("学生ごとの専用アドレス")
    assert (await api.get(f"/classes/{class_id}")).json()["learner_word"] == "pupil"


async def test_english_says_student_in_any_case(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, _ = await create_class_of(api, "hanako")
    await api.put(f"/classes/{class_id}", json={"learner_word": "pupil"})
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await wait_live(page)
        await expect(page.get_by_role("heading", name="Students' own addresses")).to_be_visible()
