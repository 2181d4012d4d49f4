"""What a student gets of what is stored of them."""

import httpx
import pytest

from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token


async def post_own(replica: Replica, user: str, **fields: object) -> None:
    async with client(replica.url, token(user)) as student:
        answer = await student.post("/events", json=[event(userId=user, **fields)])
    assert answer.status_code == 202, answer.text


async def test_my_classes_have_my_totals_and_place(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        one_id, (user, other), (student, _) = await create_class_of(admin, "hanako", "taro")
        one = (await admin.get(f"/classes/{one_id}")).json()
        two = await create_class(admin, name="物理")
        line = {"user_id": user, "name": "山田 花子", "team": "班A"}
        on_list = {"number": 7, "kana": "やまだ はなこ", "seat": "B3"}
        await admin.post(f"/classes/{two['id']}/students", json=line | on_list)
        await post_own(guarded_school, other, classCode=one["class_code"])
        for failed in (True, False, False):
            await post_own(
                guarded_school, user, classCode=one["class_code"], hasError=failed, userName="はな"
            )
        await post_own(guarded_school, user, classCode=two["class_code"], cellIndex=4)
        await post_own(guarded_school, user)
        await admin.delete(f"/classes/{one_id}/students/{student}")
        await admin.put(f"/classes/{two['id']}", json={"is_active": False, "learner_word": "pupil"})
        async with client(guarded_school.url, token(user)) as api:
            me = (await api.get("/me")).json()
    assert (me["student_id"], me["user_id"]) == (student, user)
    rows = {each["class_id"]: each for each in me["classes"]}
    assert [each["class_id"] for each in me["classes"]] == [None, one_id, two["id"]]
    counts = {key: (each["executions"], each["errors"]) for key, each in rows.items()}
    assert counts == {None: (1, 0), one_id: (3, 1), two["id"]: (1, 0)}
    assert [rows[key]["role"] for key in (None, one_id, two["id"])] == [None, None, "student"]
    assert [rows[key]["name"] for key in (one_id, two["id"])] == ["はな", "山田 花子"]
    physics = rows[two["id"]]
    assert (physics["class_name"], physics["team"], physics["is_active"]) == ("物理", "班A", False)
    assert (physics["notebook_path"], physics["cell_position"]) == ("lesson.ipynb", 4)
    assert [each["learner_word"] for each in me["classes"]] == [None, "student", "pupil"]
    assert (physics["number"], physics["kana"]) == (7, "やまだ はなこ")
    assert (physics["seat_row"], physics["seat_column"]) == (2, 3)
    assert physics["verified"] is True
    assert physics["last_heard_at"] is not None


async def test_my_assignments_have_my_progress_and_grades(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, (user, other), (student, taro) = await create_class_of(admin, "hanako", "taro")
        handed_out = {"class_id": class_id, "path": "work/lesson.ipynb"}
        notebook = await create(admin, "/notebooks", **handed_out)
        first = await create_assignment(
            admin, class_id=class_id, notebook_id=notebook["id"], title="first", points=10
        )
        await create_assignment(admin, class_id=class_id, title="second")
        await create_assignment(admin, title="of another class")
        for cell, failed in (("a", True), ("a", False), ("b", True), ("text", False)):
            kind = "markdown" if cell == "text" else "code"
            fields = {"cellId": cell, "hasError": failed, "cellType": kind}
            await post_own(guarded_school, user, notebookPath="/work\\lesson.ipynb", **fields)
        for cell in "abcd":
            await post_own(guarded_school, other, notebookPath="work/lesson.ipynb", cellId=cell)
        for who, grade in ((student, 4), (student, 9.5), (taro, 1)):
            await create(
                admin,
                "/submissions",
                assignment_id=first["id"],
                student_id=who,
                grade=grade,
                feedback=f"feedback {grade}",
            )
        async with client(guarded_school.url, token(user)) as api:
            answer = await api.get("/me/assignments")
            rows = {each["title"]: each for each in answer.json()}
            page = await api.get("/me/assignments", params={"limit": 1})
    assert answer.headers["X-Total-Count"] == "2"
    assert rows.keys() == {"first", "second"}
    mine = rows["first"]
    assert (mine["cells_run"], mine["cells_succeeded"], mine["points"]) == (2, 1, 10)
    assert (mine["attempt"], mine["grade"], mine["feedback"]) == (2, 9.5, "feedback 9.5")
    assert mine["notebook_path"] == "work/lesson.ipynb"
    unanswered = rows["second"]
    assert [unanswered[name] for name in ("cells_run", "submission_id", "grade")] == [0, None, None]
    assert len(page.json()) == 1


async def test_nothing_is_stored_of_a_stranger(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token(unique("stranger"))) as api:
        assert (await api.get("/me")).status_code == 404
        assert (await api.get("/me/assignments")).json() == []


@pytest.mark.parametrize("path", ["/me", "/me/assignments"])
async def test_an_ingest_token_reads_nothing(guarded_school: Replica, path: str) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, _, _ = await create_class_of(admin, "hanako")
        issued = (await admin.post(f"/classes/{class_id}/tokens", json={})).json()
    (secret,) = [each["token"] for each in issued]
    async with httpx.AsyncClient(base_url=f"{guarded_school.url}/api/v1") as api:
        for credential in (
            {"headers": {"Authorization": f"Bearer {secret}"}},
            {"params": {"key": secret}},
        ):
            answer = await api.get(path, **credential)
            assert answer.status_code in (401, 403), answer.text
