"""Rosters as files and clipboards, checked before they are written; grades as files."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import HOSTILE, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.replicas import Replica

DROP = """([form, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], "名簿.csv", { type: "text/csv" }));
    for (const kind of ["dragover", "drop"])
        form.dispatchEvent(
            new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


async def roster(api: httpx.AsyncClient, class_id: int) -> dict[str, dict[str, Any]]:
    rows = (await api.get(f"/classes/{class_id}/students")).json()
    return {row["user_id"]: row for row in rows}


def preview(page: Page) -> Any:
    return page.get_by_role("region", name="Check before enrolling").first


async def test_a_file_is_checked_and_then_enrolled(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    prefix = unique("s")
    class_id = (await create_class(api))["id"]
    for user, name in ((f"{prefix}1", "山田 花子"), (f"{prefix}2", "佐藤"), (f"{prefix}9", "外")):
        await create(api, f"/classes/{class_id}/students", user_id=user, name=name)
    text = (
        "情報基礎 名簿\r\n学籍番号,氏名,チーム\r\n"
        f"{prefix}1,山田 花子,\r\n{prefix}2,佐藤 太郎,班2\r\n{prefix}3,{HOSTILE!r},\r\n合計,3,\r\n"
    )
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_label("File", exact=True).set_input_files(
            {"name": "名簿.csv", "mimeType": "text/csv", "buffer": text.encode("cp932")}
        )
        shown = preview(page)
        await expect(shown).to_contain_text("New: 1 · changed: 1 · unchanged: 1")
        await expect(shown).to_contain_text("CP932")
        await expect(shown).to_contain_text("Name: 佐藤 → 佐藤 太郎")
        await expect(shown).to_contain_text("Line 6 · a total: left out")
        await expect(shown).to_contain_text("On the roster, not in the list (1)")
        await expect(shown).to_contain_text("Nothing has been saved yet.")
        assert await violations(page) == []
        assert len(await roster(api, class_id)) == 3
        await page.get_by_role("button", name="Enrol 2 people").press("Enter")
        await expect(page.locator(".toast").last).to_contain_text("2 enrolled.")
        await expect(page.get_by_role("heading", name="Roster (4)")).to_be_visible()
    people = await roster(api, class_id)
    assert people[f"{prefix}2"]["name"] == "佐藤 太郎"
    assert sorted(people) == [f"{prefix}{number}" for number in (1, 2, 3, 9)]


async def test_a_file_is_dropped_and_a_clipboard_pasted(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    one, two, three = (unique("s") for _ in range(3))
    class_id = (await create_class(api))["id"]
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        form = await page.locator("form.upload").element_handle()
        await page.evaluate(DROP, [form, f"user_id,name\n{one},花子\n"])
        await expect(preview(page)).to_contain_text("New: 1")
        await page.get_by_role("button", name="Cancel").click()
        await expect(preview(page)).to_be_hidden()
        assert await roster(api, class_id) == {}
        await page.get_by_label("Or paste a list").fill(f"{two}\t佐藤 太郎\n{three}\t山田 花子")
        await page.get_by_role("button", name="Check the list").press("Enter")
        await expect(preview(page)).to_contain_text("list without headings")
        await page.get_by_role("button", name="Enrol 2 people").click()
        await expect(page.get_by_role("heading", name="Roster (2)")).to_be_visible()
    assert {user: row["name"] for user, row in (await roster(api, class_id)).items()} == {
        two: "佐藤 太郎",
        three: "山田 花子",
    }


async def test_numbers_readings_and_seats_are_shown_sorted_and_edited(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    a, b, c = sorted(unique("s") for _ in range(3))
    class_id = (await create_class(api))["id"]
    text = (
        "出席番号,学籍番号,氏名,ふりがな,座席\n"
        f"2,{a},山田 花子,やまだ はなこ,A10\n10,{b},佐藤 太郎,さとう たろう,A2\n,{c},鈴木,,\n"
    )
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_label("Or paste a list").fill(text)
        await page.get_by_role("button", name="Check the list").click()
        await expect(preview(page)).to_contain_text("座席 = Seat")
        await expect(preview(page)).to_contain_text("The room becomes 1 row of 10 seats")
        await expect(preview(page)).to_contain_text("no. 2 · やまだ はなこ · seat A10")
        await page.get_by_role("button", name="Enrol 3 people").click()
        rows = page.locator("table.people tbody tr")
        await expect(rows).to_contain_text([a, b, c])
        await expect(rows.nth(0)).to_contain_text("やまだ はなこ")
        for heading, order in (("Name", [b, a, c]), ("Seat", [b, a, c]), ("No.", [a, b, c])):
            sort = page.get_by_role("columnheader", name=heading).get_by_role("button")
            await sort.press("Enter")
            await expect(sort).to_be_focused()
            await expect(page.locator("[aria-sort=ascending]")).to_have_text(heading)
            await expect(rows).to_contain_text(order)
        assert await violations(page) == []
        await page.get_by_role("button", name="Edit 鈴木").click()
        dialog = page.get_by_role("dialog")
        save = dialog.get_by_role("button", name="Save")
        trouble = dialog.get_by_role("alert")
        for label, wrong, reason in (
            ("No.", "七", "Enter a number from 1 to 9999"),
            ("Seat", "窓側", "“窓側” is not a seat"),
            ("Seat", "ａ２", "佐藤 太郎 has the seat A2"),
            ("Seat", "A51", "“A51” is not a seat"),
            ("Seat", "51-1", "“51-1” is not a seat"),
        ):
            await dialog.get_by_label(label).fill(wrong)
            await save.click()
            await expect(trouble).to_contain_text(reason)
            await dialog.get_by_label(label).fill("")
        await dialog.get_by_label("Seat").fill("Ｂ－１")
        await dialog.get_by_label("No.").fill("１")
        await dialog.get_by_label("Reading").fill("すずき")
        await save.click()
        await expect(rows).to_contain_text([c, a, b])
        await expect(page.get_by_role("button", name="Edit 鈴木")).to_be_focused()
        await expect(rows.nth(0)).to_contain_text("B1")
    line = (await roster(api, class_id))[c]
    assert (line["number"], line["kana"], line["seat"]) == (1, "すずき", "B1")


async def test_an_edited_roster_stays_where_it_was_scrolled_to(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{number}" for number in range(10, 50)))
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_role("button", name=f"Edit {users[30]}").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Seat").fill("A1")
        await dialog.get_by_role("button", name="Save").click()
        row = page.locator("table.people tbody tr").nth(30)
        await expect(row).to_contain_text("A1")
        await expect(row.get_by_role("button", name="Edit")).to_be_focused()
        await expect(row).to_be_in_viewport(ratio=1)
        role = row.get_by_role("combobox")
        await role.select_option("assistant")
        await expect(role).to_have_value("assistant")
        await expect(row.get_by_role("link")).to_have_count(0)
        await expect(row).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    ("language", "label", "check", "lead", "line"),
    [
        ("en", "Or paste a list", "Check the list", "Correct these lines", "Line 3:"),
        ("ja", "または、名簿を貼り付け", "内容を確認", "次の行を直して", "3 行目："),
    ],
)
async def test_mistakes_are_shown_by_line(
    school: Replica,
    api: httpx.AsyncClient,
    browser: Browser,
    language: str,
    label: str,
    check: str,
    lead: str,
    line: str,
) -> None:
    user = unique("s")
    class_id = (await create_class(api))["id"]
    url = view_url(school, class_id, "manage", query=f"?lang={language}")
    async with open_tab(browser, url) as page:
        text = page.get_by_label(label)
        await page.get_by_role("button", name=check).click()
        form = page.locator("form.upload")
        await expect(form.get_by_role("alert")).not_to_be_empty()
        await text.fill(f"user_id,name\n{user},花子\n1.23E+05,次郎\n{user},三郎")
        await page.get_by_role("button", name=check).click()
        await expect(form.get_by_role("alert")).to_contain_text(lead)
        await expect(form.get_by_role("alert")).to_be_in_viewport(ratio=1)
        await expect(form.locator("li").filter(has_text=line)).to_be_visible()
        assert await violations(page) == []
        await text.fill(f"user_id,name\n{user},花子")
        await expect(form.locator("li")).to_have_count(0)
        await page.get_by_role("button", name=check).click()
        await expect(form.get_by_role("table")).to_contain_text(user)
    assert await roster(api, class_id) == {}


async def test_who_looks_like_somebody_can_be_taken_for_them(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await page.get_by_label("Or paste a list").fill(f"user_id,name\n{user.upper()},花子")
        await page.get_by_role("button", name="Check the list").click()
        shown = preview(page)
        await expect(shown).to_contain_text(f"looks like {user} (upper and lower case)")
        await page.get_by_label("Enrol them as").select_option("the person already known")
        await expect(shown).to_contain_text("New: 0 · changed: 1")
        await page.get_by_role("button", name="Enrol 1 person").click()
        await expect(page.locator(".toast").last).to_contain_text("1 enrolled.")
    assert {row["name"] for row in (await roster(api, class_id)).values()} == {"花子"}


async def test_grades_are_saved_as_files(
    school: Replica, api: httpx.AsyncClient, browser: Browser, tmp_path: Path
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    assignment = await create_assignment(api, class_id=class_id, title="第1回", points=10)
    await create(api, "/submissions", assignment_id=assignment["id"], student_id=student, grade=7.5)
    async with open_tab(browser, view_url(school, class_id, "manage")) as page:
        await wait_live(page)
        card = page.locator(".assignments .card")
        await card.get_by_text("Grades as a file").click()
        for label in ("a spreadsheet (CSV)", "Moodle", "Canvas", "nbgrader"):
            await card.get_by_label("For").select_option(label)
            async with page.expect_download() as saving:
                await card.get_by_role("button", name="Download: 第1回").click()
            saved = await saving.value
            assert saved.suggested_filename.startswith(f"assignment-{assignment['id']}-grades")
            path = tmp_path / label[0]
            await saved.save_as(path)
            content = path.read_text("utf-8")
            assert user in content
            assert "7.5" in content
        await page.get_by_text("All grades as a file").click()
        assert await violations(page) == []
