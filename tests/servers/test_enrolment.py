"""Enrolment: one student, many at once, and from a spreadsheet."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.lms import create, create_class, create_student, error_location, unique
from tests.support.postgres import address_in, fetch
from tests.support.replicas import Replica


async def roster(api: httpx.AsyncClient, class_id: int) -> dict[str, dict[str, Any]]:
    answer = await api.get(f"/classes/{class_id}/students")
    entries = {entry["user_id"]: entry for entry in answer.json()}
    assert list(entries) == sorted(entries)
    assert answer.headers["X-Total-Count"] == str(len(entries))
    return entries


async def upload(api: httpx.AsyncClient, class_id: int, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return await api.post(f"/classes/{class_id}/roster", content=body, headers=headers)


async def test_one_is_enrolled_and_taken_off(api: httpx.AsyncClient) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api, name="花子")
    path = f"/classes/{class_id}/students"
    enrolled = await api.post(path, json={"student_id": student["id"]})
    assert enrolled.status_code == 201
    entry = enrolled.json()
    assert entry | {"joined_at": 0} == {
        "class_id": class_id,
        "student_id": student["id"],
        "user_id": student["user_id"],
        "name": "花子",
        "email": None,
        "team": None,
        "role": "student",
        "joined_at": 0,
        "number": None,
        "kana": None,
        "seat": None,
    }
    again = await api.post(path, json={"user_id": student["user_id"], "role": "assistant"})
    assert again.json() == entry | {"role": "assistant"}
    assert await roster(api, class_id) == {student["user_id"]: again.json()}
    removed = await api.delete(f"{path}/{student['id']}")
    assert (removed.status_code, removed.json()) == (200, again.json())
    assert (await api.delete(f"{path}/{student['id']}")).status_code == 404
    assert await roster(api, class_id) == {}


async def test_many_are_enrolled_at_once_and_made_where_need_be(api: httpx.AsyncClient) -> None:
    class_id, student = (
        (await create_class(api))["id"],
        await create_student(api, name="old", team="A"),
    )
    others = [unique("s") for _ in range(300)]
    body = [{"user_id": user_id} for user_id in others]
    body += [{"user_id": student["user_id"], "name": "新", "role": "teacher"}]
    enrolled = await api.post(f"/classes/{class_id}/students", json=body)
    assert enrolled.status_code == 201
    assert {entry["user_id"] for entry in enrolled.json()} == {*others, student["user_id"]}
    entries = {entry["user_id"]: entry for entry in enrolled.json()}
    teacher = entries[student["user_id"]]
    assert (teacher["name"], teacher["team"], teacher["role"]) == ("新", "A", "teacher")
    page = await api.get(f"/classes/{class_id}/students?skip=299&limit=500")
    assert page.headers["X-Total-Count"] == "301"
    assert len(page.json()) == 2


async def test_nobody_is_enrolled_when_one_is_unknown(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    body = [{"user_id": unique()}, {"student_id": 999_999_999}]
    answer = await api.post(f"/classes/{class_id}/students", json=body)
    assert error_location(answer) == ["body", "student_id"]
    assert await roster(api, class_id) == {}


@pytest.mark.parametrize(
    "body",
    [{}, {"student_id": 1, "user_id": "x"}, {"user_id": "x", "role": "king"}, [{}], [1], "x", None],
)
async def test_what_is_no_enrolment_is_refused(api: httpx.AsyncClient, body: Any) -> None:
    class_id = (await create_class(api))["id"]
    assert error_location(await api.post(f"/classes/{class_id}/students", json=body))[0] == "body"


async def test_an_unknown_class_is_not_found(api: httpx.AsyncClient) -> None:
    path = "/classes/999999999"
    one = {"user_id": "nobody"}
    for answer in (
        await api.get(f"{path}/students"),
        await api.post(f"{path}/students", json=one),
        await api.delete(f"{path}/students/1"),
        await upload(api, 999_999_999, b"user_id\nnobody\n"),
    ):
        assert answer.status_code == 404
    assert (await api.get("/students?user_id=nobody")).json() == []


async def test_a_deleted_class_takes_its_roster_along(api: httpx.AsyncClient) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    one = {"student_id": student["id"]}
    await api.post(f"/classes/{class_id}/students", json=one)
    assert (await api.delete(f"/classes/{class_id}")).status_code == 200
    assert (await api.delete(f"/students/{student['id']}")).status_code == 200


async def test_a_deleted_student_leaves_the_roster(api: httpx.AsyncClient) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    await api.post(f"/classes/{class_id}/students", json={"student_id": student["id"]})
    assert (await api.delete(f"/students/{student['id']}")).status_code == 200
    assert await roster(api, class_id) == {}


HEADED = '学籍番号,氏名,クラス,役割\n{0},花子,1-A,\n\n{1},"太郎, 二世",1-B,教員\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
async def test_a_spreadsheet_is_a_roster(api: httpx.AsyncClient, encoding: str, ends: str) -> None:
    class_id, (one, other) = (await create_class(api))["id"], sorted((unique(), unique()))
    text = HEADED.format(one, other).replace("\n", ends)
    answer = await upload(api, class_id, text.encode(encoding))
    assert answer.status_code == 201, answer.text
    entries = await roster(api, class_id)
    lines = {line["user_id"]: line["student_id"] for line in answer.json()["lines"]}
    assert lines == {user_id: entry["student_id"] for user_id, entry in entries.items()}
    assert (entries[one]["name"], entries[one]["role"]) == ("花子", "student")
    assert (entries[other]["name"], entries[other]["role"]) == ("太郎, 二世", "teacher")


@pytest.mark.parametrize("mark", [";", "\t"])
async def test_other_separators_and_english_headings_will_do(
    api: httpx.AsyncClient, mark: str
) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    lines = [["User_ID", "email", "team"], [user_id, "a@example.com", "チームA"]]
    body = "\n".join(mark.join(cells) for cells in lines).encode()
    (entry,) = (await upload(api, class_id, body)).json()["lines"]
    assert (entry["user_id"], entry["email"], entry["team"]) == (
        user_id, "a@example.com", "チームA"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        (b"", 1, "user_id"),
        (b"name,team\nHanako,A\n", 1, "user_id"),
        (b"user_id,role\nx,student\ny,king\n", 3, "role"),
        (b"user_id,name\nx,y\n,z\n", 3, "no id"),
        (b"user_id\n" + b"x" * 513, 2, "513"),
        (b'user_id\n"x', 2, "end of data"),
        (b"user_id\n\x81\n", 2, "UTF-8"),
    ],
)
async def test_a_line_that_is_wrong_is_named_and_nobody_enrolled(
    api: httpx.AsyncClient, body: bytes, line: int, reason: str
) -> None:
    class_id = (await create_class(api))["id"]
    answer = await upload(api, class_id, body)
    assert error_location(answer) == ["body", line]
    assert reason in answer.json()["detail"][0]["msg"]
    assert await roster(api, class_id) == {}


async def test_concurrent_enrolment_and_posts_do_not_deadlock(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id = (await create_class(api))["id"]
    names = [unique("s") for _ in range(60)]
    enrolments = [{"user_id": name, "name": "先生が書いた"} for name in names]
    events = [{"eventType": "help", "userId": name, "userName": "x"} for name in reversed(names)]
    answers = await asyncio.gather(
        *(api.post(f"/classes/{class_id}/students", json=enrolments) for _ in range(6)),
        *(api.post("/events", json=events) for _ in range(6)),
    )
    assert [answer.status_code for answer in answers] == [201] * 6 + [202] * 6
    assert set(await roster(api, class_id)) == set(names)


async def test_a_line_of_a_roster_is_changed_in_its_class_only(api: httpx.AsyncClient) -> None:
    student = await create_student(api, name="花子", email="h@example.com", team="A")
    lines = []
    for _ in range(2):
        class_id = (await create_class(api))["id"]
        body = {"student_id": student["id"]}
        lines.append((await api.post(f"/classes/{class_id}/students", json=body)).json())
    line, other = lines
    path = f"/classes/{line['class_id']}/students/{student['id']}"
    changes = {"name": "山田 花子", "team": "B", "role": "assistant"}
    changed = await api.put(path, json=changes)
    assert (changed.status_code, changed.json()) == (200, line | changes)
    assert await roster(api, line["class_id"]) == {student["user_id"]: line | changes}
    assert await roster(api, other["class_id"]) == {student["user_id"]: other}
    assert (await api.get(f"/students/{student['id']}")).json() == student
    assert (await api.put(path, json={})).json() == line | changes
    again = {"student_id": student["id"], "role": "assistant", "email": "x@example.com"}
    enrolled = await api.post(f"/classes/{line['class_id']}/students", json=again)
    assert enrolled.json() == line | changes | {"email": "x@example.com"}
    cleared = {"name": None, "email": None, "team": None}
    assert (await api.put(path, json=cleared)).json() == line | {"role": "assistant"}


async def test_who_is_not_on_a_roster_has_no_line(api: httpx.AsyncClient) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    path = f"/classes/{class_id}/students/{student['id']}"
    assert (await api.put(path, json={"name": "x"})).status_code == 404
    assert error_location(await api.put(path, json={"role": None})) == ["body", "role"]
    assert error_location(await api.put(path, json={"role": "waiting"})) == ["body", "role"]


BLANK = "\u200b\u3000\t"


async def test_a_roster_shows_its_own_names_then_the_records_then_claimed_ones(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    claimed = """
        INSERT INTO student_states (student_id, class_id, name, email, team)
        VALUES ($1, $2, 'claimed', 'claimed@example.com', 'claimed')
    """
    await fetch(address_in(school.environment), claimed, student["id"], class_id)
    path = f"/classes/{class_id}/students"
    await api.post(path, json={"student_id": student["id"], "name": BLANK, "team": BLANK})

    async def shown() -> list[str]:
        entry = (await roster(api, class_id))[student["user_id"]]
        return [entry["name"], entry["email"], entry["team"]]

    assert await shown() == ["claimed", "claimed@example.com", "claimed"]
    record = {"name": "record", "email": "record@example.com", "team": "record"}
    await api.put(f"/students/{student['id']}", json=record)
    assert await shown() == ["record", "record@example.com", "claimed"]
    line = {"name": "line", "email": "line@example.com", "team": "line"}
    await api.put(f"{path}/{student['id']}", json=line)
    assert await shown() == list(line.values())


async def test_who_waits_is_let_in_by_enrolment_and_by_a_role(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    users = sorted((unique(), unique()))
    events = [{"eventType": "help", "userId": user} for user in users]
    await api.post("/events", json=events, params={"key": key["key"]})
    one, other = (await roster(api, class_id)).values()
    assert one["role"] == other["role"] == "waiting"
    path = f"/classes/{class_id}/students"
    enrolled = (await api.post(path, json={"user_id": one["user_id"]})).json()
    changed = (await api.put(f"{path}/{other['student_id']}", json={"role": "student"})).json()
    for waiting, member in ((one, enrolled), (other, changed)):
        assert member["role"] == "student"
        assert member["joined_at"] > waiting["joined_at"]
    query = "SELECT joined_by FROM student_classes WHERE class_id = $1"
    rows = await fetch(address_in(school.environment), query, class_id)
    assert [row["joined_by"] for row in rows] == [None, None]  # no new names of the day


async def test_on_an_open_server_a_roster_shows_names_claimed_in_no_class(
    api: httpx.AsyncClient,
) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    event = {"eventType": "help", "userId": user_id, "userName": "花子", "teamName": "A"}
    assert (await api.post("/events", json=[event])).json()["stored"] == 1
    entry = (await api.post(f"/classes/{class_id}/students", json={"user_id": user_id})).json()
    assert (entry["name"], entry["team"]) == ("花子", "A")
    assert (await roster(api, class_id))[user_id] == entry


async def test_a_removal_is_remembered_until_the_student_is_enrolled(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    path = f"/classes/{class_id}/students"

    async def removals() -> list[str]:
        query = "SELECT removed_by FROM class_removals WHERE class_id = $1 AND student_id = $2"
        rows = await fetch(address_in(school.environment), query, class_id, student["id"])
        return [row["removed_by"] for row in rows]

    for _ in range(2):
        await api.post(path, json={"student_id": student["id"]})
        assert await removals() == []
        await api.delete(f"{path}/{student['id']}")
        assert await removals() == ["anybody"]
    await api.delete(f"{path}/{student['id']}")
    assert (await api.delete(f"/classes/{class_id}")).status_code == 200


async def test_the_events_of_the_enrolled_reach_their_class(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    await api.post(f"/classes/{class_id}/students", json={"user_id": user_id})
    async with school.listen(f"?channels=class:{class_id}") as dashboard:
        await api.post("/events", json=[{"eventType": "help", "userId": user_id}])
        assert (await dashboard.next())["data"]["userId"] == user_id
