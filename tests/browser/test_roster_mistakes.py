"""What is wrong with a list, in the page's language."""

import re

import httpx
import pytest
from playwright.async_api import Browser, FilePayload, expect

from monitor.errors import Detail, InvalidBody
from monitor.lms.enrolment_plan import _ambiguous
from monitor.lms.enrolment_report import LookAlike
from monitor.lms.enrolment_rows import Enrolment, EnrolmentRows
from monitor.lms.roster_files.file import parse
from monitor.lms.seating import SeatHolder, check_seats
from tests.browser.page import view_url, wait_live
from tests.support.browser import open_tab
from tests.support.lms import create_class
from tests.support.replicas import Replica

IDS = ("1.23E+05", "4月1日", "#N/A", "=A2", "s\x07001", '"s0\n01"', "s\ufffd01", "x" * 600, "")
BAD = [
    *(f"学籍番号,氏名\ns000,佐藤\n{cell},山田\n".encode() for cell in IDS),
    "出席番号,学籍番号\n1,s001\nx,s002\n".encode(),
    "学籍番号,座席\ns001,zzz9999\n".encode(),
    "学籍番号,座席\ns001,1月3日\n".encode(),
    b"user_id,role\ns001,king\n",
    "学籍番号,氏名\ns001,花子\ns001,太郎\n".encode(),
    b"",
    "学籍番号,氏名\n".encode(),
    "氏名,チーム\n山田花子,A\n".encode(),
    b"user_id,user_id\na,b\n",
    b'user_id,name\na,"b\nc,d\n',
    b'user_id,name\na,"b\nc\nd\ne\nf\ng"\n',
    b"user_id\n" + b"".join(b"s%d\n" % number for number in range(10_001)),
    b"user_id," * 300 + b"\n",
    "学籍番号\ns001\n".encode("utf-32"),
    b"user_id,name\ns\x00001,a\n",
    b"user_id,name\ns001,\xff\xfe\xfa\xfb\n",
]
SEATED = [
    (Enrolment(user_id="a", seat="A1"), Enrolment(user_id="b", seat="A1")),
    (Enrolment(user_id="a", seat="A2", name="山田"),),
]


def refusal_of(body: bytes) -> list[Detail]:
    with pytest.raises(InvalidBody) as error:
        parse(body)
    return list(error.value.details)


def seat_refusals() -> list[Detail]:
    details: list[Detail] = []
    for rows in SEATED:
        lines = dict(enumerate(rows, 2))
        enrolments = EnrolmentRows(lines, "Lines")
        holder = SeatHolder(student_id=9, user_id="c", name="花子", seat="A2")
        with pytest.raises(InvalidBody) as error:
            check_seats(enrolments, dict.fromkeys(lines), [holder])
        details += error.value.details
    same = EnrolmentRows({2: Enrolment(user_id="a"), 4: Enrolment(user_id="a")}, "Lines")
    alike = [LookAlike(each, None, None, None, False, ["case"]) for each in ("A", "a")]
    return [*details, same.repeated(2, 4), _ambiguous(3, alike)]


async def test_each_message_has_a_japanese_form(school: Replica, browser: Browser) -> None:
    details = [each for body in BAD for each in refusal_of(body)] + seat_refusals()
    messages = [each.msg for each in details]
    assert len(messages) >= 28
    async with open_tab(browser, school.url) as page:
        texts = await page.evaluate(
            """async (messages) => {
              const { mistakeInJapanese } = await import("/page/roster-mistake-texts.js");
              return messages.map(mistakeInJapanese);
            }""",
            messages,
        )
    english = [text for text in texts if re.search(r"(?<![\w「（])[a-z]{3,} [a-z]{2,}", text)]
    assert not english
    assert not any(re.search(r"\{\d\}|undefined", text) for text in texts)
    assert all("行目" in text or "ファイルが空です" in text for text in texts)


async def test_the_japanese_page_says_what_is_wrong_in_japanese(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id = (await create_class(api))["id"]
    bad: FilePayload = {"name": "名簿.csv", "mimeType": "text/csv", "buffer": BAD[3]}
    for locale, text in (
        ("ja-JP", "3 行目：「=A2」は数式です。"),
        ("en-US", "Line 3: '=A2' is a formula"),
    ):
        url = view_url(school, class_id, "manage")
        async with open_tab(browser, url, locale=locale) as page:
            await wait_live(page)
            await page.locator("input[type=file]").first.set_input_files(bad)
            await expect(page.locator(".upload li").first).to_contain_text(text)
