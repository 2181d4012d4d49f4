"""Teachers merge notebooks of a class, keep them apart, and undo that; they hand out any path."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from tests.support.audit import changes
from tests.support.lms import create, error_location, unique
from tests.support.replicas import Replica
from tests.support.teachers import Teacher, a_teacher, post
from tests.support.tokens import client, token


class Lesson:
    """A class with a handed-out notebook, a copy of it, and a renamed one."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.api = teacher.api
        self.notebooks = ""
        self.ids: dict[str, int] = {}

    async def set_up(self) -> None:
        class_id = self.teacher.class_id
        self.notebooks = f"/classes/{class_id}/notebooks"
        lesson = await create(self.api, "/notebooks", class_id=class_id, path="lesson.ipynb")
        task = {"class_id": class_id, "notebook_id": lesson["id"], "title": "課題"}
        await create(self.api, "/assignments", **task)
        for user, path in (
            ("hanako", "lesson.ipynb"),
            ("taro", "lesson (1).ipynb"),
            ("jiro", "s001.ipynb"),
        ):
            for cell in ("a", "b"):
                await self.run(user, path, cell)
        listed = await self.api.get("/notebooks", params={"class_id": class_id})
        self.ids = {each["path"]: each["id"] for each in listed.json()}

    async def run(self, user: str, path: str, cell: str) -> None:
        await post(self.teacher.replica, self.teacher.key, user, notebookPath=path, cellId=cell)

    def path(self, notebook: str, action: str) -> str:
        return f"{self.notebooks}/{self.ids[notebook]}/{action}"

    async def decide(self, notebook: str, action: str, into: str = "") -> httpx.Response:
        body = {"into": self.ids[into]} if into else None
        return await self.api.post(self.path(notebook, action), json=body)

    async def undo(self, notebook: str) -> httpx.Response:
        return await self.api.delete(self.path(notebook, "decision"))

    async def counted(self, notebook: str = "lesson.ipynb") -> dict[str, str]:
        answer = (await self.api.get(self.path(notebook, "copies"))).json()
        return {each["notebook_path"]: each["reason"] for each in answer["copies"]}

    async def reached(self, notebook: str = "lesson.ipynb") -> int:
        """By how many students the cell `a` was."""
        cells = (await self.api.get(self.path(notebook, "cells"))).json()["cells"]
        return int(next(each["reached"] for each in cells if each["cell_id"] == "a"))


@pytest.fixture
async def lesson(guarded_school: Replica) -> AsyncIterator[Lesson]:
    async with a_teacher(guarded_school) as teacher:
        lesson = Lesson(teacher)
        await lesson.set_up()
        yield lesson


async def test_a_merge_counts_everywhere_and_is_undone(lesson: Lesson) -> None:
    assert await lesson.counted() == {"lesson (1).ipynb": "cells"}
    assert await lesson.reached() == 2
    answer = await lesson.decide("s001.ipynb", "merge", into="lesson.ipynb")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "class_id": lesson.teacher.class_id,
        "notebook_id": lesson.ids["s001.ipynb"],
        "counts_for": lesson.ids["lesson.ipynb"],
        "decided_by": lesson.teacher.name,
        "decided_at": answer.json()["decided_at"],
    }
    assert await lesson.counted() == {"lesson (1).ipynb": "cells", "s001.ipynb": "merged"}
    assert await lesson.reached() == await lesson.reached("s001.ipynb") == 3
    now = (await lesson.api.get(f"/classes/{lesson.teacher.class_id}/now")).json()
    assert {each["notebook_path"] for each in now} == {"lesson.ipynb"}
    assert (await lesson.undo("s001.ipynb")).json()["counts_for"] == lesson.ids["lesson.ipynb"]
    assert await lesson.reached() == 2
    assert (await lesson.undo("s001.ipynb")).status_code == 404


async def test_a_copy_is_kept_apart_and_recognised_again(lesson: Lesson) -> None:
    answer = await lesson.decide("lesson (1).ipynb", "keep-apart")
    assert answer.json()["counts_for"] is None
    assert await lesson.counted() == {}
    assert await lesson.reached() == await lesson.reached("lesson (1).ipynb") == 1
    others = (await lesson.api.get(lesson.path("lesson.ipynb", "copies"))).json()["others"]
    assert [(each["notebook_path"], each["is_apart"]) for each in others] == [
        ("lesson (1).ipynb", True),
        ("s001.ipynb", False),
    ]
    assert others[0]["decided_by"] == lesson.teacher.name
    assert (await lesson.undo("lesson (1).ipynb")).status_code == 200
    assert await lesson.counted() == {"lesson (1).ipynb": "cells"}


async def test_merging_into_a_copy_is_merging_into_what_it_counts_for(lesson: Lesson) -> None:
    answer = await lesson.decide("s001.ipynb", "merge", into="lesson (1).ipynb")
    assert answer.json()["counts_for"] == lesson.ids["lesson.ipynb"]
    assert await lesson.counted() == {"lesson (1).ipynb": "cells", "s001.ipynb": "merged"}


async def test_what_was_merged_takes_along_what_counts_for_it(lesson: Lesson) -> None:
    assert (await lesson.decide("lesson.ipynb", "merge", into="s001.ipynb")).status_code == 200
    assert await lesson.counted("s001.ipynb") == {
        "lesson.ipynb": "merged",
        "lesson (1).ipynb": "cells",
    }
    answer = await lesson.decide("s001.ipynb", "merge", into="lesson.ipynb")
    assert answer.status_code == 409
    assert "counts for" in answer.json()["detail"]
    await lesson.undo("lesson.ipynb")
    assert await lesson.counted() == {"lesson (1).ipynb": "cells"}


async def test_invalid_merges_are_refused(lesson: Lesson, guarded_school: Replica) -> None:
    assert error_location(await lesson.decide("s001.ipynb", "merge", into="s001.ipynb")) == [
        "body",
        "into",
    ]
    async with a_teacher(guarded_school) as other:
        theirs = await create(
            other.api, "/notebooks", class_id=other.class_id, path=unique() + ".ipynb"
        )
        path = lesson.path("s001.ipynb", "merge")
        answer = await lesson.api.post(path, json={"into": theirs["id"]})
        assert error_location(answer) == ["body", "into"]
        path = f"/classes/{other.class_id}/notebooks/{lesson.ids['s001.ipynb']}/keep-apart"
        assert (await other.api.post(path)).status_code == 403


async def test_only_teachers_decide_and_it_is_audited(
    lesson: Lesson, guarded_school: Replica
) -> None:
    name = unique("assistant")
    await lesson.teacher.enrol(name, role="assistant")
    path = lesson.path("s001.ipynb", "merge")
    async with client(guarded_school.url, token(name, "instructor")) as assistant:
        body = {"into": lesson.ids["lesson.ipynb"]}
        assert (await assistant.post(path, json=body)).status_code == 403
        assert (await assistant.get(lesson.path("s001.ipynb", "copies"))).status_code == 200
    async with client(guarded_school.url, token("root", "admin")) as admin:
        total = (await admin.get("/audit")).headers["X-Total-Count"]
        await lesson.decide("s001.ipynb", "merge", into="lesson.ipynb")
        await lesson.undo("s001.ipynb")
        await lesson.decide("s001.ipynb", "keep-apart")
        log = await changes(admin, skip=int(total))
    entries = {each["operation"]: each for each in log if "notebook_id" in each["operation"]}
    assert [operation.rpartition("/")[2] for operation in entries] == [
        "merge",
        "decision",
        "keep-apart",
    ]
    (merged, *_) = entries.values()
    assert merged["detail"]["into"] == lesson.ids["lesson.ipynb"]
    assert str(lesson.ids["s001.ipynb"]) in merged["path"]


@pytest.mark.parametrize("form", ["{}", "./{}", "C:\\{}"])
async def test_a_path_that_others_used_first_is_handed_out_by_everybody(
    guarded_school: Replica, form: str
) -> None:
    path = unique("lesson") + ".ipynb"
    ids = []
    async with a_teacher(guarded_school) as first, a_teacher(guarded_school) as second:
        await post(guarded_school, first.key, "hanako", notebookPath=path)
        await post(guarded_school, second.key, "taro", notebookPath=path)
        for teacher in (first, second):
            query = f"class_id={teacher.class_id}&path={quote(form.format(path))}"
            (notebook,) = (await teacher.api.get(f"/notebooks?{query}")).json()
            task = {"class_id": teacher.class_id, "notebook_id": notebook["id"], "title": "課題"}
            await create(teacher.api, "/assignments", **task)
            ids.append(notebook["id"])
            cells = await teacher.api.get(
                f"/classes/{teacher.class_id}/notebooks/{notebook['id']}/students"
            )
            assert len(cells.json()) == 1
    assert len(set(ids)) == 2


async def test_a_path_that_only_another_class_used_is_handed_out(guarded_school: Replica) -> None:
    path = unique("lesson") + ".ipynb"
    async with a_teacher(guarded_school) as first, a_teacher(guarded_school) as second:
        await post(guarded_school, first.key, "hanako", notebookPath=path)
        class_id = second.class_id
        answer = await second.api.get(f"/notebooks?class_id={class_id}&path={path}")
        assert answer.json() == []
        notebook = await create(second.api, "/notebooks", class_id=class_id, path=path)
        task = {"class_id": class_id, "notebook_id": notebook["id"], "title": "課題"}
        await create(second.api, "/assignments", **task)
