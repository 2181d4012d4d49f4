"""Classes and all that belongs to them, made by the API, each with a name of its own."""

import uuid
from typing import Any

import httpx


def fresh(prefix: str = "x") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def make(api: httpx.AsyncClient, resource: str, /, **fields: Any) -> dict[str, Any]:
    answer = await api.post(resource, json=fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def a_class(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await make(api, "/classes", **{"name": "数学", "class_code": fresh("M")} | fields)


async def a_student(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await make(api, "/students", **{"user_id": fresh("student")} | fields)


async def an_assignment(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"title": "第1回"}
    if "class_id" not in fields:
        usual["class_id"] = (await a_class(api))["id"]
    if "notebook_id" not in fields:
        usual["notebook_id"] = (await make(api, "/notebooks", path=fresh("a") + ".ipynb"))["id"]
    return await make(api, "/assignments", **usual | fields)


def at_fault(answer: httpx.Response) -> list[Any]:
    """Where the one thing wrong with a request is."""
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["detail"]
    where: list[Any] = detail["loc"]
    return where
