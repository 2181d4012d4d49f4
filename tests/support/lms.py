"""Classes and all that belongs to them, made by the API, each with a name of its own."""

import uuid
from typing import Any

import httpx


def unique(prefix: str = "x") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def create(api: httpx.AsyncClient, resource: str, /, **fields: Any) -> dict[str, Any]:
    answer = await api.post(resource, json=fields)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def create_class(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await create(api, "/classes", **{"name": "数学", "class_code": unique("M")} | fields)


async def create_student(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await create(api, "/students", **{"user_id": unique("student")} | fields)


async def create_assignment(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    class_id = fields["class_id"] if "class_id" in fields else (await create_class(api))["id"]
    usual: dict[str, Any] = {"title": "第1回", "class_id": class_id}
    if "notebook_id" not in fields:
        path = unique("a") + ".ipynb"
        usual["notebook_id"] = (await create(api, "/notebooks", class_id=class_id, path=path))["id"]
    return await create(api, "/assignments", **usual | fields)


async def create_class_of(api: httpx.AsyncClient, *names: str) -> tuple[int, list[str], list[int]]:
    """A class of students with these names: its id, the students' user ids and their ids."""
    class_id = (await create_class(api))["id"]
    users = [unique(name) for name in names]
    rows = [{"user_id": user} for user in users]
    answer = await api.post(f"/classes/{class_id}/students", json=rows)
    ids = {each["user_id"]: each["student_id"] for each in answer.json()}
    return class_id, users, [ids[user] for user in users]


async def act_on_help(
    api: httpx.AsyncClient, class_id: int, student: int, action: str, name: str
) -> httpx.Response:
    """Take or resolve a request for help as the teacher of that name."""
    return await api.post(f"/classes/{class_id}/help/{student}/{action}", json={"name": name})


def notebook(*sources: str, kind: str = "markdown") -> dict[str, Any]:
    """A notebook with a cell for each source."""
    cells = [
        {"cell_type": kind, "id": f"c{n}", "metadata": {}, "source": source}
        for n, source in enumerate(sources)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def error_location(answer: httpx.Response) -> list[Any]:
    """Where the one thing wrong with a request is."""
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["detail"]
    where: list[Any] = detail["loc"]
    return where
