"""How far students have got in an assignment, and since when they fail, on a running server."""

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.events import post_as
from tests.support.lms import create, create_assignment, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.waiting import eventually


async def assign(api: httpx.AsyncClient, class_id: int) -> tuple[int, dict[str, Any]]:
    """The id of an assignment, and the fields of an event in its notebook."""
    path = unique("a") + ".ipynb"
    notebook = await create(api, "/notebooks", class_id=class_id, path=path)
    assignment = await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    code = (await api.get(f"/classes/{class_id}")).json()["class_code"]
    return assignment["id"], {"notebookPath": path, "classCode": code}


async def run(school: Replica, user: str, cell: int, **fields: Any) -> None:
    place = {"cellId": f"c{cell}", "cellIndex": cell}
    await post_as(school, user, "cell_executed", **place, **fields)


async def test_cells_that_many_have_run_count(school: Replica, api: httpx.AsyncClient) -> None:
    class_id, users, ids = await create_class_of(api, *(f"s{n}" for n in range(7)))
    assignment, place = await assign(api, class_id)
    empty = (await api.get(f"/assignments/{assignment}/progress")).json()
    assert (empty["cells"], empty["students"], empty["title"]) == (0, [], "第1回")
    for user in users[:6]:
        await run(school, user, 0, **place)
    for user in users[:2]:
        await run(school, user, 1, **place)
    await run(school, users[2], 1, hasError=True, **place)
    await run(school, users[0], 2, **place)  # of six who have run anything, one
    await create(api, "/submissions", assignment_id=assignment, student_id=ids[6])

    async def progress() -> Any:
        return (await api.get(f"/assignments/{assignment}/progress")).json()

    found = await eventually(progress, lambda answer: answer["cells"] == 2)
    succeeded = {each["student_id"]: each["succeeded"] for each in found["students"]}
    assert [succeeded[student] for student in ids] == [2, 2, 1, 1, 1, 1, 0]
    assert [each["student_id"] for each in found["students"] if each["handed_in"]] == [ids[6]]
    assert (await api.get("/assignments/999999/progress")).status_code == 404


async def test_a_row_of_errors_has_a_beginning(school: Replica, api: httpx.AsyncClient) -> None:
    class_id, (user,), _ = await create_class_of(api, "s")

    async def now(at: datetime | None = None) -> dict[str, Any]:
        at_time = {} if at is None else {"at": at.isoformat()}
        (state,) = (await api.get(f"/classes/{class_id}/now", params=at_time)).json()
        return dict(state)

    assert (await now())["failing_since"] is None
    await run(school, user, 0)
    first = datetime.now(UTC)
    for _ in range(3):
        await run(school, user, 1, hasError=True)
    state = await now()
    assert state["errors_in_a_row"] == 3
    assert abs((datetime.fromisoformat(state["failing_since"]) - first).total_seconds()) < 2
    assert state["last_run_at"] > state["failing_since"]
    earlier = await now(datetime.now(UTC))
    names = ("failing_since", "last_run_at")
    assert [earlier[name] for name in names] == [state[name] for name in names]
    await run(school, user, 1)
    state = await now()
    assert (state["failing_since"], state["errors_in_a_row"]) == (None, 0)


async def test_who_fails_for_long_is_stuck_as_the_class_says(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (user,), _ = await create_class_of(api, "s")

    async def stuck() -> int:
        (row,) = [
            each
            for each in (await api.get("/overview", params={"limit": 500})).json()
            if each["class_id"] == class_id
        ]
        return int(row["stuck"])

    for _ in range(2):
        await run(school, user, 1, hasError=True)
    assert await stuck() == 0
    await api.put(f"/classes/{class_id}", json={"stuck_errors": 2})
    assert await stuck() == 1
    assert (await api.put(f"/classes/{class_id}", json={"stuck_minutes": 0})).status_code == 422
