"""Several teachers share a class, on a running server."""

from typing import Any

import asyncpg
import httpx

from monitor.lms import duties
from monitor.lms.duties import Duty, DutyUpdate
from tests.support.class_views import open_school
from tests.support.lms import create_class_of
from tests.support.postgres import Address
from tests.support.replicas import Replica


async def report(api: httpx.AsyncClient, class_id: int, name: str, **part: Any) -> httpx.Response:
    return await api.put(f"/classes/{class_id}/duties", json={"name": name, **part})


async def present(api: httpx.AsyncClient, class_id: int) -> dict[str, tuple[list[int], list[str]]]:
    teachers = (await api.get(f"/classes/{class_id}/duties")).json()["teachers"]
    return {each["name"]: (each["seat_rows"], each["teams"]) for each in teachers}


async def test_teachers_share_a_class(school: Replica, api: httpx.AsyncClient) -> None:
    class_id, _, _ = await create_class_of(api, "student")
    async with school.listen(f"?channels=class:{class_id}") as dashboard:
        await report(api, class_id, "Suzuki", teams=["B", "A", "B"])
        message = await dashboard.next()
        assert message["event"] == "duties"
        answer = await report(api, class_id, "Sato", seat_rows=[2, 1])
        message = await dashboard.next()
        assert message["data"] == answer.json()
        expected = {"Sato": ([1, 2], []), "Suzuki": ([], ["A", "B"])}
        assert await present(api, class_id) == expected
        await report(api, class_id, "Sato")  # they are still there
        assert await dashboard.silent()
    assert await present(api, class_id) == expected
    await report(api, class_id, "Sato", seat_rows=[])
    assert await present(api, class_id) == {**expected, "Sato": ([], [])}


async def test_who_has_given_no_sign_is_gone_and_keeps_their_part(
    pool: asyncpg.Pool, postgres: Address
) -> None:
    async with open_school(pool, postgres) as school, school.pool.acquire() as connection:

        async def seen_before(time: str) -> None:
            query = "UPDATE duties SET seen_at = now() - $1::text::interval WHERE name = 'Sato'"
            await connection.execute(query, time)

        sato = Duty("Sato", [], ["A"])
        await duties.update(connection, 1, DutyUpdate("Sato", teams=["A"]))
        await seen_before("2 minutes")
        assert (await duties.duties(connection, 1)).teachers == []
        outcome = await duties.update(connection, 1, DutyUpdate("Sato"))
        assert (outcome.duties.teachers, outcome.has_changed) == ([sato], True)
        assert not (await duties.update(connection, 1, DutyUpdate("Sato"))).has_changed
        assert (await duties.duties(connection, 2)).teachers == []
        await seen_before("13 hours")
        await duties.update(connection, 1, DutyUpdate("Suzuki"))
        outcome = await duties.update(connection, 1, DutyUpdate("Sato"))
        assert outcome.duties.teachers == [Duty("Sato", [], []), Duty("Suzuki", [], [])]


async def test_what_is_no_part_of_a_class_is_refused(api: httpx.AsyncClient) -> None:
    class_id, _, _ = await create_class_of(api, "student")
    assert (await report(api, class_id, "")).status_code == 422
    assert (await report(api, class_id, "Sato", seat_rows=[0])).status_code == 422
    assert (await report(api, class_id, "Sato", seat_rows=[1] * 101)).status_code == 422
    assert (await report(api, 999_999, "Sato")).status_code == 404
    assert (await api.get("/classes/999999/duties")).status_code == 404
