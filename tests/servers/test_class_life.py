"""How a class is put away, copied and deleted, and that its notebooks are its own."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.lms import create, create_assignment, create_class, error_location, unique
from tests.support.postgres import address_in, fetch
from tests.support.replicas import Replica
from tests.support.tokens import client, token


async def post(url: str, key: str) -> int:
    events = [{"eventType": "help", "userId": unique("hanako")}]
    async with client(url, None) as api:
        return (await api.post("/events", json=events, params={"key": key})).status_code


async def test_a_class_that_is_put_away_ends_its_keys(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token(unique("sensei"), "instructor")) as api:
        class_id = (await create_class(api))["id"]
        key = await create(api, "/ingest-keys", name="x", class_id=class_id)
        other = await create_class(api)
        kept = await create(api, "/ingest-keys", name="y", class_id=other["id"])
        assert await post(guarded_school.url, key["key"]) == 202
        path = f"/classes/{class_id}"
        await api.put(path, json={"is_active": False})
        assert await post(guarded_school.url, key["key"]) == 401
        assert await post(guarded_school.url, kept["key"]) == 202
        (ended,) = (await api.get("/ingest-keys", params={"class_id": class_id})).json()
        await api.put(path, json={"is_active": True})
        assert await post(guarded_school.url, key["key"]) == 401
        assert (await api.get("/ingest-keys", params={"class_id": class_id})).json() == [ended]
        assert (await api.get(f"{path}/students")).status_code == 200


async def test_a_copy_has_the_assignments_and_no_students(guarded_school: Replica) -> None:
    sensei = unique("sensei")
    async with client(guarded_school.url, token(sensei, "instructor")) as api:
        settings = {
            "description": "x",
            "join_policy": "approve",
            "max_new_names": 7,
            "learner_word": "pupil",
        }
        class_id = (await create_class(api, **settings))["id"]
        await create(api, f"/classes/{class_id}/students", user_id=unique())
        given = {"description": "y", "points": 10.0}
        first = await create_assignment(
            api, class_id=class_id, due_date="2026-12-01T00:00:00Z", **given
        )
        again = {"notebook_id": first["notebook_id"], "title": "再提出"}
        await create_assignment(api, class_id=class_id, **again)
        await create(api, "/notebooks", class_id=class_id, path="not handed out.ipynb")

        code = unique("next")
        copied = await create(api, f"/classes/{class_id}/copy", name="次", class_code=code)
        assert copied | settings == copied
        assert (copied["name"], copied["class_code"], copied["is_active"]) == ("次", code, True)
        filter_ = {"class_id": copied["id"]}
        one, two = (await api.get("/assignments", params=filter_)).json()
        assert (one["title"], one["due_date"], two["title"]) == (first["title"], None, "再提出")
        assert one | given == one
        (notebook,) = (await api.get("/notebooks", params=filter_)).json()
        assert notebook["id"] == one["notebook_id"] == two["notebook_id"] != first["notebook_id"]
        original = (await api.get(f"/notebooks/{first['notebook_id']}")).json()
        assert notebook["path"] == original["path"]
        roster = (await api.get(f"/classes/{copied['id']}/students")).json()
        assert [(each["user_id"], each["role"]) for each in roster] == [(sensei, "teacher")]
        again = {"name": "x", "class_code": code}
        assert (await api.post(f"/classes/{class_id}/copy", json=again)).status_code == 400


async def test_a_copy_of_nothing_is_not_found(api: httpx.AsyncClient) -> None:
    body = {"name": "x", "class_code": unique()}
    assert (await api.post("/classes/999999999/copy", json=body)).status_code == 404


@pytest.mark.parametrize("table", ["classes", "ingest_keys"])
async def test_a_class_with_events_can_only_be_put_away(
    api: httpx.AsyncClient, school: Replica, table: str
) -> None:
    class_id = (await create_class(api))["id"]
    key = await create(api, "/ingest-keys", name="x", class_id=class_id)
    row_id = class_id if table == "classes" else key["id"]
    query = f"UPDATE {table} SET has_events = true WHERE id = $1"
    await fetch(address_in(school.environment), query, row_id)
    refused = await api.delete(f"/classes/{class_id}")
    assert refused.status_code == 409
    assert "`is_active: false`" in refused.json()["detail"]


async def test_a_class_without_events_takes_its_notebooks_along(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    notebook = await create(api, "/notebooks", class_id=class_id, path="a.ipynb")
    assert (await api.delete(f"/classes/{class_id}")).status_code == 200
    assert (await api.get(f"/notebooks/{notebook['id']}")).status_code == 404


async def test_a_path_is_put_in_order_and_unique_in_its_class(api: httpx.AsyncClient) -> None:
    one, two = (await create_class(api))["id"], (await create_class(api))["id"]
    first = await create(api, "/notebooks", class_id=one, path="RTC:./\u304b\u3099\\a.ipynb")
    assert (first["class_id"], first["path"], first["name"]) == (one, "が/a.ipynb", "a.ipynb")
    again = await api.post("/notebooks", json={"class_id": one, "path": "/が/a.ipynb"})
    assert again.status_code == 400
    assert "path" in again.json()["detail"]
    second = await create(api, "/notebooks", class_id=two, path="が/a.ipynb")
    for class_id, created in ((one, first), (two, second)):
        query = {"class_id": class_id, "path": "が\\a.ipynb"}
        assert (await api.get("/notebooks", params=query)).json() == [created]
    moved = await api.put(f"/notebooks/{first['id']}", json={"class_id": two})
    assert error_location(moved) == ["body", "class_id"]


async def handed_out(api: httpx.AsyncClient, assignment: dict[str, Any]) -> dict[str, Any]:
    notebook: dict[str, Any] = (await api.get(f"/notebooks/{assignment['notebook_id']}")).json()
    return notebook


async def test_a_notebook_handed_out_is_the_classs_own(api: httpx.AsyncClient) -> None:
    one, two = (await create_class(api))["id"], (await create_class(api))["id"]
    nobodys = await create(api, "/notebooks", path=unique("a"), name="はじめに")
    assert nobodys["class_id"] is None
    first = await create_assignment(api, class_id=one, notebook_id=nobodys["id"])
    own = await handed_out(api, first)
    assert (own["class_id"], own["path"], own["name"]) == (one, nobodys["path"], "はじめに")
    again = await create_assignment(api, class_id=one, notebook_id=nobodys["id"])
    assert again["notebook_id"] == own["id"]
    path = f"/assignments/{first['id']}"
    moved = (await api.put(path, json={"class_id": two, "notebook_id": own["id"]})).json()
    theirs = await handed_out(api, moved)
    assert (theirs["class_id"], theirs["path"]) == (two, nobodys["path"])
    back = (await api.put(path, json={"class_id": one})).json()
    assert (back["class_id"], back["notebook_id"]) == (one, own["id"])
    assert (await api.put(path, json={"title": "x"})).json()["notebook_id"] == own["id"]


async def test_a_notebook_handed_out_by_many_at_once_is_made_once(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    nobodys = await create(api, "/notebooks", path=unique("a"))
    assignments = await asyncio.gather(
        *(
            create_assignment(api, class_id=class_id, notebook_id=nobodys["id"], title=str(number))
            for number in range(8)
        )
    )
    (own,) = (await api.get("/notebooks", params={"class_id": class_id})).json()
    assert {each["notebook_id"] for each in assignments} == {own["id"]}
