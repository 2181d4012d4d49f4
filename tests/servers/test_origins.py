"""Pages of other origins at a server without credentials."""

from pathlib import Path

import httpx
import pytest

from tests.support.events import event
from tests.support.lms import create_assignment, create_class_of, notebook
from tests.support.postgres import Address, environment_of
from tests.support.replicas import Replica
from tests.support.tokens import client

JUPYTERLAB = "http://localhost:8888"


async def call(
    replica: Replica, origin: str, method: str, path: str, body: object = None
) -> httpx.Response:
    headers = {"Origin": origin}
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=15) as page:
        return await page.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_website_reads_and_hands_in_nothing(shared_replica: Replica, origin: str) -> None:
    async with client(shared_replica.url, None) as api:
        class_id, (user,), _ = await create_class_of(api, "hanako")
        assignment = await create_assignment(api, class_id=class_id)
        handed_in = {
            "assignment_id": assignment["id"],
            "user_id": user,
            "notebook_content": notebook("x"),
        }
        calls = {
            ("GET", "/health"): None,
            ("GET", "/assignments"): None,
            ("GET", "/submissions"): None,
            ("POST", "/submissions"): {**handed_in, "grade": 100},
        }
        for (method, path), body in calls.items():
            answer = await call(shared_replica, origin, method, path, body)
            assert answer.status_code == 403, path
            assert "BACKEND_CORS_ORIGINS" in answer.json()["detail"]
        posted = await call(shared_replica, origin, "POST", "/events", [event(userId=user)])
        assert (posted.status_code, posted.json()["stored"]) == (202, 1)
        params = {"assignment_id": assignment["id"]}
        assert (await api.get("/submissions", params=params)).json() == []
        from_here = await call(shared_replica, JUPYTERLAB, "POST", "/submissions", handed_in)
        assert from_here.status_code == 201, from_here.text
        assert len((await api.get("/submissions", params=params)).json()) == 1


async def test_a_website_that_is_named_may_call(postgres: Address, tmp_path: Path) -> None:
    site = "https://jupyter.school.example"
    settings = environment_of(postgres, tmp_path) | {"BACKEND_CORS_ORIGINS": f"*,{site}"}
    with Replica(settings) as replica:
        assert (await call(replica, site, "GET", "/submissions")).status_code == 200
        evil = await call(replica, "https://evil.example", "GET", "/submissions")
        assert evil.status_code == 403
