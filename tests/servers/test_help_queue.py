"""The help queue, error radar and heat map, on a running server."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.events import post_as
from tests.support.lms import act_on_help, create, create_class_of, unique
from tests.support.postgres import Address, environment_of
from tests.support.replicas import Replica
from tests.support.servers import RedisServer


async def waiting(api: httpx.AsyncClient, class_id: int) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = (await api.get(f"/classes/{class_id}/help")).json()
    return requests


def claimed(**off: float) -> str:
    """The present by a clock that is off by so much."""
    return (datetime.now(UTC) + timedelta(**off)).isoformat()


async def test_help_queue_orders_by_waiting_then_helped(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two, _), (one_id, *_) = await create_class_of(api, "one", "two", "three")
    await post_as(
        school, one, "cell_executed", hasError=True, errorMessage="KeyError: 'x'", code="d"
    )
    await post_as(school, one, "help")
    await post_as(school, two, "help")
    await post_as(school, one, "help")
    first, second = await waiting(api, class_id)
    assert (first["user_id"], second["user_id"]) == (one, two)
    assert first["asked_at"] < second["asked_at"] < first["repeated_at"]
    assert first["notebook_path"] == "lesson.ipynb"
    assert first["last_error"]["error"] == "KeyError: 'x'"
    assert first["last_error"]["code"] == "d"
    assert (await act_on_help(api, class_id, one_id, "take", "先生")).status_code == 200
    first, second = await waiting(api, class_id)
    assert (second["user_id"], second["taken_by"]) == (one, "先生")


@pytest.mark.parametrize("view", ["help", "now", "now?at=2100-01-01T00:00:00Z"])
async def test_a_class_is_read_page_by_page(
    school: Replica, api: httpx.AsyncClient, view: str
) -> None:
    class_id, users, _ = await create_class_of(api, "one", "two", "three")
    for user in users:
        await post_as(school, user, "help")
    whole = (await api.get(f"/classes/{class_id}/{view}")).json()
    assert sorted(each["user_id"] for each in whole) == sorted(users)
    paged = []
    for skip in range(4):
        answer = await api.get(
            f"/classes/{class_id}/{view}",
            params=httpx.QueryParams(view.partition("?")[2]).merge({"skip": skip, "limit": 1}),
        )
        assert answer.headers["X-Total-Count"] == "3"
        paged += [each["user_id"] for each in answer.json()]
    assert paged == [each["user_id"] for each in whole]


async def test_of_two_teachers_one_gets_the_request(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "student")
    await post_as(school, user, "help")
    async with school.listen(f"?channels=class:{class_id}") as dashboard:
        answers = await asyncio.gather(
            *(act_on_help(api, class_id, student, "take", name) for name in ("Sato", "Suzuki"))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
        (loser,) = (answer.json() for answer in answers if answer.status_code == 409)
        assert loser["detail"] == f"{winner['name']} has taken it already"
        message = await dashboard.next()
        assert (message["event"], message["data"]) == ("help_request", winner)
        assert winner["status"] == "taken"
        assert await dashboard.silent()
    again = await act_on_help(api, class_id, student, "take", winner["name"])
    assert again.json() == winner


async def test_a_resolved_request_is_reopened_only_by_a_new_call(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "student")
    await post_as(school, user, "help")
    assert (await act_on_help(api, class_id, student, "resolve", "Sato")).json()[
        "status"
    ] == "resolved"
    await post_as(school, user, "help")
    assert await waiting(api, class_id) == []
    (now,) = (await api.get(f"/classes/{class_id}/now")).json()
    assert now["state"] == "active"
    for what in ("take", "resolve"):
        refused = await act_on_help(api, class_id, student, what, "Suzuki")
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "Sato has resolved it already",
        )
    await post_as(school, user, "help_stop")
    refused = await act_on_help(api, class_id, student, "take", "Suzuki")
    assert refused.status_code == 409
    await post_as(school, user, "help")
    (request,) = await waiting(api, class_id)
    assert request["taken_by"] is None
    assert (await act_on_help(api, class_id, student, "take", "Suzuki")).status_code == 200


async def test_a_call_that_was_old_when_it_arrived_opens_nothing(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (user,), _ = await create_class_of(api, "student")
    await post_as(school, user, "help", eventTime=claimed(hours=-2))
    assert await waiting(api, class_id) == []


@pytest.mark.parametrize("seconds", [-40, 40])
async def test_a_clock_that_is_a_little_wrong_hides_no_call(
    school: Replica, api: httpx.AsyncClient, seconds: int
) -> None:
    class_id, (user,), _ = await create_class_of(api, "student")
    await post_as(school, user, "help", eventTime=claimed(seconds=seconds))
    (request,) = await waiting(api, class_id)
    assert request["user_id"] == user


@pytest.mark.parametrize("hours", [-9, 9])
async def test_a_clock_that_is_wrong_by_hours_hides_only_the_first_event(
    school: Replica, api: httpx.AsyncClient, hours: int
) -> None:
    class_id, (user,), _ = await create_class_of(api, "student")
    failed = {"hasError": True, "errorMessage": "KeyError: 'x'"}
    await post_as(school, user, "cell_executed", **failed, eventTime=claimed(hours=hours))
    await asyncio.sleep(1.1)
    await post_as(school, user, "cell_executed", **failed, eventTime=claimed(hours=hours))
    await post_as(school, user, "help", eventTime=claimed(hours=hours))
    (request,) = await waiting(api, class_id)
    assert request["last_error"]["error"] == "KeyError: 'x'"
    assert abs(datetime.fromisoformat(request["asked_at"]) - datetime.now(UTC)) < timedelta(
        seconds=10
    )
    (group,) = (await api.get(f"/classes/{class_id}/errors")).json()["groups"]
    assert group["students"] == [user]
    (now,) = (await api.get(f"/classes/{class_id}/now")).json()
    assert (now["state"], now["errors_in_a_row"]) == ("help", 2)


async def test_unknown_classes_and_students_are_not_found(api: httpx.AsyncClient) -> None:
    class_id, _, _ = await create_class_of(api, "student")
    stranger = (await create(api, "/students", user_id=unique()))["id"]
    assert (await api.get("/classes/999999/help")).status_code == 404
    assert (await act_on_help(api, class_id, stranger, "take", "Sato")).status_code == 404
    assert (await api.get("/classes/999999/errors")).status_code == 404
    assert (await api.get(f"/classes/{class_id}/notebooks/999999/students")).status_code == 404


async def test_another_replica_tells_who_took_a_request(
    postgres: Address, redis_server: RedisServer, tmp_path_factory: Any
) -> None:
    def environment(name: str) -> dict[str, str]:
        redis = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)}
        return environment_of(postgres, tmp_path_factory.mktemp(name)) | redis

    with Replica(environment("one")) as one, Replica(environment("two")) as two:
        async with httpx.AsyncClient(base_url=f"{one.url}/api/v1") as api:
            class_id, (user,), (student,) = await create_class_of(api, "student")
            async with two.listen(f"?channels=class:{class_id}") as dashboard:
                await post_as(one, user, "help")
                assert (await dashboard.next())["data"]["eventType"] == "help"
                await act_on_help(api, class_id, student, "take", "Sato")
                assert (await dashboard.next())["data"]["name"] == "Sato"


async def test_the_radar_groups_the_errors_of_the_last_minutes(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "one", "two", "three")
    long_ago = (datetime.now(UTC) - timedelta(minutes=20)).isoformat()

    async def fail(user: str, error: str, **fields: Any) -> None:
        await post_as(school, user, "cell_executed", hasError=True, errorMessage=error, **fields)

    notebook = unique("radar") + ".ipynb"
    place = {"notebookPath": notebook, "cellId": "c7", "cellIndex": 6}
    await fail(three, "KeyError: 'old'", eventTime=long_ago, notebookPath=notebook)
    await post_as(school, three, "cell_executed")
    await fail(one, "KeyError: 'a'", **place)
    await fail(one, "KeyError: 'b'", **place)
    await fail(two, "KeyError: 'c'\nmore", **place, code="d['c']")
    await fail(two, "ValueError: 1", **place)
    radar = (await api.get(f"/classes/{class_id}/errors")).json()
    first, second = radar["groups"]
    assert (radar["students"], radar["minutes"]) == (3, 10)
    assert (first["error"], first["count"], first["students"]) == ("KeyError: …", 3, [one, two])
    assert (first["cell_id"], first["cell_position"]) == ("c7", 6)
    assert first["example_of"] == two
    assert (first["example"], first["code"]) == ("KeyError: 'c'\nmore", "d['c']")
    assert first["trend"] == [0] * 9 + [3]
    assert (second["error"], second["students"]) == ("ValueError: …", [two])
    wide = (await api.get(f"/classes/{class_id}/errors?minutes=30")).json()
    assert sum(group["count"] for group in wide["groups"]) == 5


async def test_a_notebook_shows_what_each_student_reached(
    school: Replica, api: httpx.AsyncClient
) -> None:
    class_id, (one, two), (one_id, two_id) = await create_class_of(api, "one", "two")
    notebook = unique("heat") + ".ipynb"
    for failed in (True, True, False):
        await post_as(school, one, "cell_executed", notebookPath=notebook, hasError=failed)
    await post_as(school, two, "cell_executed", notebookPath=notebook, cellId="c2", hasError=True)
    (listed,) = (await api.get("/notebooks", params={"path": notebook})).json()
    path = f"/classes/{class_id}/notebooks/{listed['id']}/students"
    kept = {"executions": 3, "errors": 2, "succeeded": True, "attempts": 3}
    failed_once = {"executions": 1, "errors": 1, "succeeded": False, "attempts": None}
    assert (await api.get(path)).json() == [
        {"student_id": one_id, "place": "id:cell-1", "cell_id": "cell-1", **kept},
        {"student_id": two_id, "place": "id:c2", "cell_id": "c2", **failed_once},
    ]
