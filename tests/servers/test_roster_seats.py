"""Numbers, readings and seats on a roster: by file, by hand, and where two ids are one student."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.lms import create, create_class, create_student, error_location, unique
from tests.support.replicas import Replica

CSV = {"Content-Type": "text/csv"}
ROOM = {"rows": 2, "columns": 4, "aisles": [2], "seats": []}


async def upload(api: httpx.AsyncClient, class_id: int, text: str, **query: Any) -> httpx.Response:
    path = f"/classes/{class_id}/roster"
    return await api.post(path, content=text, headers=CSV, params=query)


async def lines(api: httpx.AsyncClient, class_id: int) -> dict[str, tuple[Any, ...]]:
    rows = (await api.get(f"/classes/{class_id}/students")).json()
    return {row["user_id"]: (row["number"], row["kana"], row["seat"]) for row in rows}


async def room(api: httpx.AsyncClient, class_id: int) -> tuple[int, int, list[int]]:
    answer = (await api.get(f"/classes/{class_id}/room")).json()
    return answer["rows"], answer["columns"], answer["aisles"]


def messages(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [each["msg"] for each in answer.json()["detail"]]


async def test_a_list_of_a_school_gives_numbers_readings_and_seats(api: httpx.AsyncClient) -> None:
    class_id, (a, b) = (await create_class(api))["id"], sorted((unique(), unique()))
    text = (
        "出席番号,学籍番号,氏名,ふりがな,座席\n"
        f"１,{a},山田 花子,やまだ はなこ,Ａ１\n2,{b},佐藤 太郎,ｻﾄｳ ﾀﾛｳ,2-3\n"
    )
    preview = await upload(api, class_id, text, dry_run=True)
    assert preview.status_code == 200, preview.text
    assert [(each["number"], each["kana"], each["seat"]) for each in preview.json()["lines"]] == [
        (1, "やまだ はなこ", "A1"),
        (2, "サトウ タロウ", "B3"),
    ]
    assert preview.json()["room"] == {"rows": 2, "columns": 3}
    assert await room(api, class_id) == (0, 0, [])
    assert (await upload(api, class_id, text)).status_code == 201
    assert await lines(api, class_id) == {
        a: (1, "やまだ はなこ", "A1"),
        b: (2, "サトウ タロウ", "B3"),
    }
    assert await room(api, class_id) == (2, 3, [])
    changed = f"学籍番号,番号,かな,席\n{a},12,,\n{b},,さとう たろう,B1\n"
    report = (await upload(api, class_id, changed)).json()
    assert [each["changes"] for each in report["lines"]] == [
        [{"field": "number", "old": 1, "new": 12}],
        [
            {"field": "kana", "old": "サトウ タロウ", "new": "さとう たろう"},
            {"field": "seat", "old": "B3", "new": "B1"},
        ],
    ]
    assert await lines(api, class_id) == {
        a: (12, "やまだ はなこ", "A1"),
        b: (2, "さとう たろう", "B1"),
    }
    assert (await upload(api, class_id, changed)).json()["counts"]["unchanged"] == 2


async def test_a_room_grows_and_keeps_its_aisles(api: httpx.AsyncClient) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    assert (await api.put(f"/classes/{class_id}/room", json=ROOM)).status_code == 200
    await upload(api, class_id, f"user_id,seat\n{user_id},B2\n")
    assert await room(api, class_id) == (2, 4, [2])
    same = await upload(api, class_id, f"user_id,seat\n{user_id},A4\n", dry_run=True)
    assert same.json()["room"] is None
    grown = await upload(api, class_id, f"user_id,seat\n{user_id},AA3\n")
    assert grown.json()["room"] == {"rows": 27, "columns": 4}
    assert await room(api, class_id) == (27, 4, [2])


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_seat_of_another_is_refused_with_both(
    api: httpx.AsyncClient, *, dry_run: bool
) -> None:
    class_id, (a, b, c) = (await create_class(api))["id"], (unique(), unique(), unique())
    await upload(api, class_id, f"user_id,name,seat\n{a},花子,A1\n{b},太郎,A2\n")
    answer = await upload(api, class_id, f"user_id,name,seat\n{c},次郎,A1\n", dry_run=dry_run)
    assert error_location(answer) == ["body", 2]
    assert f"次郎 ({c}) can't have the seat A1, 花子 ({a}) has it" in messages(answer)[0]
    twice = f"user_id,seat\n{c},B1\n{a},a1\n{unique()},B-1\n"
    (message,) = messages(await upload(api, class_id, twice, dry_run=dry_run))
    assert message.startswith("Lines 2 and 4 both have the seat B1")
    body = [{"user_id": c, "seat": "B1"}, {"user_id": a, "seat": "A2"}]
    path = f"/classes/{class_id}/students"
    answer = await api.post(path, json=body, params={"dry_run": dry_run})
    assert error_location(answer) == ["body", 1]
    assert "Item 1: " in messages(answer)[0]
    assert await lines(api, class_id) == {a: (None, None, "A1"), b: (None, None, "A2")}


async def test_seats_are_swapped_by_one_file(api: httpx.AsyncClient) -> None:
    class_id, (a, b) = (await create_class(api))["id"], (unique(), unique())
    await upload(api, class_id, f"user_id,seat\n{a},A1\n{b},A2\n")
    answer = await upload(api, class_id, f"user_id,seat\n{a},A2\n{b},A1\n")
    assert answer.status_code == 201, answer.text
    assert await lines(api, class_id) == {a: (None, None, "A2"), b: (None, None, "A1")}


async def test_a_line_is_changed_by_hand(api: httpx.AsyncClient) -> None:
    class_id, (a, b) = (await create_class(api))["id"], (unique(), unique())
    entries = [
        await create(api, f"/classes/{class_id}/students", user_id=name, name="花子")
        for name in (a, b)
    ]
    first, other = (f"/classes/{class_id}/students/{each['student_id']}" for each in entries)
    fields = {"number": 7, "kana": "はなこ", "seat": "ｂ－２"}
    answer = await api.put(first, json=fields)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in fields} == fields | {"seat": "B2"}
    assert await room(api, class_id) == (2, 2, [])
    taken = await api.put(other, json={"seat": "B2"})
    assert error_location(taken) == ["body", "seat"]
    assert f"花子 ({a}) has the seat B2" in messages(taken)[0]
    assert (await api.put(first, json={"seat": "B2"})).status_code == 200  # their own
    for invalid in (
        {"seat": "12"},
        {"seat": "A99"},
        {"seat": ""},
        {"number": 0},
        {"number": 10_000},
    ):
        assert error_location(await api.put(first, json=invalid))[0] == "body"
    cleared = await api.put(first, json={"number": None, "kana": None, "seat": None})
    assert [cleared.json()[name] for name in fields] == [None, None, None]
    assert (await api.put(other, json={"seat": "B2"})).json()["seat"] == "B2"
    for path in (f"/classes/{class_id}/students/999999999", "/classes/999999999/students/1"):
        assert (await api.put(path, json={"seat": "A1"})).status_code == 404
    assert await room(api, class_id) == (2, 2, [])


async def test_an_enrolment_that_says_nothing_keeps_a_line(api: httpx.AsyncClient) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    path = f"/classes/{class_id}/students"
    entry = await create(api, path, user_id=user_id, number=3, kana="はなこ", seat="A1")
    assert (entry["number"], entry["kana"], entry["seat"]) == (3, "はなこ", "A1")
    await create(api, path, user_id=user_id, team="B")
    assert await lines(api, class_id) == {user_id: (3, "はなこ", "A1")}
    removed = await api.delete(f"{path}/{entry['student_id']}")
    assert removed.json()["seat"] == "A1"
    other = await create(api, path, user_id=unique(), seat="A1")  # it is free again
    assert other["seat"] == "A1"


async def test_the_class_is_told_of_other_seats(api: httpx.AsyncClient, school: Replica) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    path = f"/classes/{class_id}/students"
    async with school.listen(f"?channels=class:{class_id}") as page:
        entry = await create(api, path, user_id=user_id, seat="A1")
        line = f"{path}/{entry['student_id']}"
        await upload(api, class_id, f"user_id,seat\n{user_id},B3\n")
        await upload(api, class_id, f"user_id,name\n{user_id},花子\n")  # no other seat
        await api.put(line, json={"seat": "C1"})
        await api.delete(line)
        heard = [await page.next() for _ in range(4)]
    assert [each["event"] for each in heard] == ["room"] * 4
    rooms = [each["data"] for each in heard]
    assert [(each["rows"], each["columns"]) for each in rooms] == [(1, 1), (2, 3), (3, 3), (3, 3)]
    seats = [[(seat["row"], seat["column"]) for seat in each["seats"]] for each in rooms]
    assert seats == [[(1, 1)], [(2, 3)], [(3, 1)], []]


async def test_two_who_give_one_seat_at_once_do_not_both(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    texts = [f"user_id,seat\n{unique()},A1\n{unique()},B{n}\n" for n in range(1, 7)]
    answers = await asyncio.gather(*(upload(api, class_id, text) for text in texts))
    assert sorted(each.status_code for each in answers) == [201, *[422] * 5]
    assert sorted(str(seat) for _, _, seat in (await lines(api, class_id)).values())[0] == "A1"


async def test_of_two_ids_of_one_student_the_seat_stays(api: httpx.AsyncClient) -> None:
    classes = [(await create_class(api))["id"] for _ in range(3)]
    old, new = await create_student(api), await create_student(api)
    both, only_old, only_new = classes
    path = "/classes/{}/students"
    first = {"number": 1, "kana": "きゅう", "seat": "A1"}
    second = {"kana": "しん", "seat": "B2"}
    for class_id, student, fields in (
        (both, old, first), (both, new, second), (only_old, old, first), (only_new, new, second),
    ):  # fmt: skip
        await create(api, path.format(class_id), student_id=student["id"], **fields)
    merged = await api.post(f"/students/{old['id']}/merge", json={"into": new["id"]})
    assert merged.status_code == 200, merged.text
    user_id = new["user_id"]
    assert await lines(api, both) == {user_id: (1, "しん", "B2")}
    assert await lines(api, only_old) == {user_id: (1, "きゅう", "A1")}
    assert await lines(api, only_new) == {user_id: (None, "しん", "B2")}
    other = await create(api, path.format(both), user_id=unique(), seat="A1")
    assert other["seat"] == "A1"
