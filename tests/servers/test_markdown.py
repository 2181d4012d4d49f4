"""Markdown of students becomes HTML that can do no harm."""

import httpx

from tests.support.lms import create, create_assignment, create_student, notebook


async def test_a_submissions_markdown_is_asked_for_by_itself(api: httpx.AsyncClient) -> None:
    assignment, student = (await create_assignment(api))["id"], (await create_student(api))["id"]
    handed = {"assignment_id": assignment, "student_id": student}
    submission = await create(api, "/submissions", **handed, notebook_content=notebook("# 答え"))
    answer = await api.get(f"/submissions/{submission['id']}/markdown")
    assert answer.json() == ["<h1>答え</h1>\n"]
    submission = await create(api, "/submissions", **handed)
    assert (await api.get(f"/submissions/{submission['id']}/markdown")).json() == []
    assert (await api.get("/submissions/999999999/markdown")).status_code == 404
