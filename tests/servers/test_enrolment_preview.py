"""What an enrolment would change, before anything is written, and what it has changed."""

from typing import Any

import httpx
import pytest

from tests.support.lms import create, create_class, create_student, error_location, unique
from tests.support.postgres import address_in, fetch
from tests.support.replicas import Replica
from tests.support.teachers import Teacher, a_teacher
from tests.support.tokens import client, token

CSV = {"Content-Type": "text/csv"}


async def upload(
    api: httpx.AsyncClient, class_id: int, text: str | bytes, **query: Any
) -> dict[str, Any]:
    path = f"/classes/{class_id}/roster"
    answer = await api.post(path, content=text, headers=CSV, params=query)
    assert answer.status_code == (200 if query.get("dry_run") else 201), answer.text
    report: dict[str, Any] = answer.json()
    assert report["dry_run"] == bool(query.get("dry_run"))
    return report


def counts(report: dict[str, Any]) -> list[int]:
    named: dict[str, int] = report["counts"]
    assert list(named) == ["new", "changed", "unchanged", "look_alikes", "absent", "left_out"]
    return list(named.values())


async def roster(api: httpx.AsyncClient, class_id: int) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = (await api.get(f"/classes/{class_id}/students?limit=500")).json()
    return people


async def test_a_preview_says_who_is_new_changes_or_is_missing_and_writes_nothing(
    api: httpx.AsyncClient, school: Replica
) -> None:
    class_id = (await create_class(api))["id"]
    a, b, c, d, e = (unique(name) for name in "abcde")
    first = f"user_id,name,team,role\n{a},花子,A,\n{b},太郎,A,assistant\n{c},次郎,,\n{d},四郎,,\n"
    await upload(api, class_id, first)
    before = await roster(api, class_id)
    second = (
        f"名簿\n学籍番号,氏名,チーム\n{a},花子,A\n{b},太郎,B\n{c},山田次郎,\n{e},五郎,C\n合計,4\n"
    )
    preview = await upload(api, class_id, second, dry_run=True)
    assert counts(preview) == [1, 2, 1, 0, 1, 2]
    assert await roster(api, class_id) == before
    assert (await api.get("/students", params={"user_id": e})).json() == []
    lines = {line["line"]: line for line in preview["lines"]}
    assert [line["outcome"] for line in lines.values()] == [
        "unchanged",
        "changed",
        "changed",
        "new",
    ]
    assert lines[4]["changes"] == [{"field": "team", "old": "A", "new": "B"}]
    assert lines[4]["role"] == "assistant"  # the file says nothing of roles
    assert lines[5]["changes"] == [{"field": "name", "old": "次郎", "new": "山田次郎"}]
    assert (lines[6]["student_id"], lines[6]["name"], lines[6]["role"]) == (None, "五郎", "student")
    assert [each["user_id"] for each in preview["absent"]] == [d]
    assert [(each["line"], each["remark"]) for each in preview["remarks"]] == [
        (1, "title"),
        (7, "totals"),
    ]
    assert preview["file"] == {
        "format": "headings",
        "encoding": "utf-8",
        "separator": "comma",
        "heading_line": 2,
        "columns": [
            {"number": 1, "heading": "学籍番号", "field": "user_id"},
            {"number": 2, "heading": "氏名", "field": "name"},
            {"number": 3, "heading": "チーム", "field": "team"},
        ],
    }
    done = await upload(api, class_id, second)
    assert counts(done) == counts(preview)
    after = {each["user_id"]: each for each in await roster(api, class_id)}
    assert {line["user_id"]: line["student_id"] for line in done["lines"]} == {
        name: after[name]["student_id"] for name in (a, b, c, e)
    }
    assert [after[b][field] for field in ("team", "role")] == ["B", "assistant"]
    assert counts(await upload(api, class_id, second, dry_run=True)) == [0, 0, 4, 0, 1, 2]


@pytest.mark.parametrize(
    ("known", "sent", "likeness"),
    [
        ("S{0}", "s{0}", "case"),
        ("00{0}", "{0}", "zeros"),
        ("{0}", "00{0}", "zeros"),
        ("s{0}＠", "s{0}@", "width"),
        ("s{0}", "s{0}@example.com", "id_in_email"),
        ("s{0}@example.com", "s{0}", "id_in_email"),
        ("s{0}@example.com", "{0}", "id_in_email"),
        ("{0}", "s{0}@example.com", "id_in_email"),
    ],
)
async def test_a_new_line_that_looks_like_somebody_is_shown_with_them(
    api: httpx.AsyncClient, known: str, sent: str, likeness: str
) -> None:
    digits = str(10_000 + int(unique("").strip("-"), 16))
    user_id, other = known.format(digits), sent.format(digits)
    student = await create_student(api, user_id=user_id, name="花子")
    class_id = (await create_class(api))["id"]
    text = f"user_id\n{other}\n"
    preview = await upload(api, class_id, text, dry_run=True)
    assert counts(preview) == [1, 0, 0, 1, 0, 0]
    (line,) = preview["lines"]
    assert line["looks_like"] == [
        {
            "user_id": user_id,
            "name": "花子",
            "student_id": student["id"],
            "line": None,
            "on_roster": False,
            "likenesses": [likeness],
        }
    ]
    taken = await upload(api, class_id, text, dry_run=True, look_alikes="known")
    assert counts(taken) == [1, 0, 0, 0, 0, 0]
    assert taken["lines"][0]["user_id"] == user_id
    done = await upload(api, class_id, text, look_alikes="known")
    assert counts(done) == counts(taken)
    assert [each["user_id"] for each in await roster(api, class_id)] == [user_id]
    assert (await api.get("/students", params={"user_id": other})).json() == []


async def test_look_alikes_by_address_on_the_roster_and_in_the_file(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    a, b, mail = unique("a"), unique("b"), f"{unique('m')}@example.com"
    await upload(api, class_id, f"user_id,email\n{a},{mail}\n")
    text = f"user_id,email\n{b},{mail.upper()}\n{b.upper()},\n"
    preview = await upload(api, class_id, text, dry_run=True)
    assert counts(preview) == [2, 0, 0, 2, 1, 0]
    one, other = (line["looks_like"] for line in preview["lines"])
    assert [(each["user_id"], each["on_roster"], each["likenesses"]) for each in one] == [
        (a, True, ["email"]),
        (b.upper(), False, ["case"]),
    ]
    assert [(each["user_id"], each["line"]) for each in other] == [(b, 2)]
    assert counts(await upload(api, class_id, text)) == counts(preview)


async def test_the_number_in_an_address_of_the_roster_is_an_id(api: httpx.AsyncClient) -> None:
    class_id, number = (await create_class(api))["id"], 10_000 + int(unique("")[1:], 16)
    known = unique("hanako")
    await upload(api, class_id, f"user_id,email\n{known},b{number}@x.jp\n")
    preview = await upload(api, class_id, f"user_id\n{number}\n", dry_run=True)
    (similar,) = preview["lines"][0]["looks_like"]
    assert (similar["user_id"], similar["likenesses"]) == (known, ["id_in_email"])
    other = f"user_id,email\n{unique()},c{number}@y.jp\n"  # two addresses are not compared
    assert counts(await upload(api, class_id, other, dry_run=True))[3] == 0


async def test_somebody_who_looks_like_two_is_not_guessed(api: httpx.AsyncClient) -> None:
    class_id, name = (await create_class(api))["id"], unique("s")
    for user_id in (name.upper(), f"{name}@x.jp"):
        await create_student(api, user_id=user_id)
    query = {"look_alikes": "known"}
    path = f"/classes/{class_id}/roster"
    answer = await api.post(path, content=f"user_id\n{name}\n", headers=CSV, params=query)
    assert error_location(answer) == ["body", 2]
    assert name.upper() in answer.json()["detail"][0]["msg"]
    assert await roster(api, class_id) == []


async def test_an_array_has_a_preview_too(api: httpx.AsyncClient) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    path, new = f"/classes/{class_id}/students", unique()
    body = [{"student_id": student["id"], "name": "花子"}, {"user_id": new}]
    answer = await api.post(path, json=body, params={"dry_run": True})
    assert answer.status_code == 200
    report = answer.json()
    assert (report["file"], counts(report)) == (None, [2, 0, 0, 0, 0, 0])
    assert [line["user_id"] for line in report["lines"]] == [student["user_id"], new]
    assert await roster(api, class_id) == []
    assert len((await api.post(path, json=body)).json()) == 2
    one = await api.post(path, json={"user_id": new, "team": "B"}, params={"dry_run": True})
    assert counts(one.json()) == [0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_one_student_twice_is_refused(api: httpx.AsyncClient, *, dry_run: bool) -> None:
    class_id, student = (await create_class(api))["id"], await create_student(api)
    body = [{"user_id": student["user_id"]}, {"user_id": "x"}, {"student_id": student["id"]}]
    answer = await api.post(f"/classes/{class_id}/students", json=body, params={"dry_run": dry_run})
    assert error_location(answer) == ["body", 2]
    assert "Items 0 and 2" in answer.json()["detail"][0]["msg"]
    body = [{"user_id": "a\u0007"}]
    answer = await api.post(f"/classes/{class_id}/students", json=body, params={"dry_run": dry_run})
    assert error_location(answer) == ["body", 0]
    assert await roster(api, class_id) == []


async def test_two_ids_of_a_merged_student_are_one_student(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    old, new = await create_student(api), await create_student(api)
    merged = await api.post(f"/students/{old['id']}/merge", json={"into": new["id"]})
    assert merged.status_code == 200, merged.text
    for query in ({"dry_run": True}, {}):
        answer = await api.post(
            f"/classes/{class_id}/roster",
            content=f"user_id\n{old['user_id']}\n{new['user_id']}\n",
            headers=CSV,
            params=query,
        )
        assert error_location(answer) == ["body", 3]
        assert "Lines 2 and 3" in answer.json()["detail"][0]["msg"]


async def test_enrolling_again_without_a_role_keeps_it_and_lets_in_who_waits(
    api: httpx.AsyncClient,
) -> None:
    class_id = (await create_class(api, join_policy="approve"))["id"]
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    waiting, teacher = unique("waiting"), unique("teacher")
    await api.post(
        "/events", json=[{"eventType": "help", "userId": waiting}], params={"key": key["key"]}
    )
    path = f"/classes/{class_id}/students"
    await api.post(path, json={"user_id": teacher, "role": "teacher"})
    text = f"user_id,name\n{waiting},花子\n{teacher},先生\n"
    preview = await upload(api, class_id, text, dry_run=True)
    assert {"field": "role", "old": "waiting", "new": "student"} in preview["lines"][0]["changes"]
    assert counts(await upload(api, class_id, text)) == counts(preview) == [0, 2, 0, 0, 0, 0]
    roles = {each["user_id"]: each["role"] for each in await roster(api, class_id)}
    assert roles == {waiting: "student", teacher: "teacher"}


@pytest.mark.parametrize("encoding", ["utf-16", "euc_jp", "iso2022_jp"])
async def test_a_japanese_roster_in_other_encodings(api: httpx.AsyncClient, encoding: str) -> None:
    class_id, user_id = (await create_class(api))["id"], unique()
    body = f"学籍番号\t氏名\n{user_id}\t山田花子\n".encode(encoding)
    report = await upload(api, class_id, body)
    assert report["file"]["separator"] == "tab"
    assert [each["name"] for each in await roster(api, class_id)] == ["山田花子"]


async def test_an_encoding_and_a_column_can_be_named(api: httpx.AsyncClient) -> None:
    class_id, login = (await create_class(api))["id"], unique()
    body = f"ID,login,name\n1,{login},丐\n".encode("euc_jp")
    path = f"/classes/{class_id}/roster"
    refused = await api.post(path, content=body, headers=CSV)
    assert error_location(refused) == ["body", 2]
    report = await upload(api, class_id, body, encoding="euc-jp", id_column=2)
    assert (report["lines"][0]["user_id"], report["lines"][0]["name"]) == (login, "丐")
    wrong = await api.post(path, content=body, headers=CSV, params={"encoding": "latin-1"})
    assert wrong.status_code == 422


async def test_a_preview_is_a_teachers_shows_theirs_only_and_is_not_audited(
    guarded_school: Replica,
) -> None:
    async with a_teacher(guarded_school) as owner, a_teacher(guarded_school) as stranger:
        pupil = unique("pupil")
        await stranger.enrol(pupil)
        text = f"user_id\n{pupil.upper()}\n"
        assert counts(await upload(stranger.api, stranger.class_id, text, dry_run=True))[3] == 1
        assert counts(await upload(owner.api, owner.class_id, text, dry_run=True))[3] == 0
        assert counts(await upload(owner.api, owner.class_id, text))[3] == 0
        await _assistants_and_strangers_are_refused(guarded_school, owner, stranger)
        query = """
            SELECT path FROM audit_log WHERE name = $1 AND operation LIKE '%/roster' ORDER BY id
        """
        address = address_in(guarded_school.environment)
        paths = [row["path"] for row in await fetch(address, query, owner.name)]
        assert paths == [f"/api/v1/classes/{owner.class_id}/roster"]


async def _assistants_and_strangers_are_refused(
    replica: Replica, owner: Teacher, stranger: Teacher
) -> None:
    name = unique("assistant")
    await owner.enrol(name, role="assistant")
    async with client(replica.url, token(name, "instructor")) as api:
        for caller in (api, stranger.api):
            for path in ("roster", "students"):
                answer = await caller.post(
                    f"/classes/{owner.class_id}/{path}",
                    content="user_id\nx\n" if path == "roster" else '{"user_id": "x"}',
                    headers=CSV if path == "roster" else {"Content-Type": "application/json"},
                    params={"dry_run": True},
                )
                assert answer.status_code == 403


async def test_thousands_of_lines_are_compared_in_seconds(api: httpx.AsyncClient) -> None:
    class_id, prefix = (await create_class(api))["id"], unique("S")
    ids = [f"{prefix}{number:05}" for number in range(3_000)]
    rows = "".join(f"{user_id},office@example.com\n" for user_id in ids)
    assert counts(await upload(api, class_id, f"user_id,email\n{rows}"))[:3] == [3_000, 0, 0]
    report = await upload(api, class_id, f"user_id,email\n{rows.lower()}", dry_run=True)
    assert counts(report)[:5] == [3_000, 0, 0, 3_000, 3_000]
    assert len(report["absent"]) == 1_000
