"""The benchmark's lesson: its views show what a class of real students has."""

import asyncio

import httpx
import pytest

from bench.lesson import CELLS, REQUESTS, WHAT, call_for_help, fill_lesson
from tests.support.fixtures import replica_fixture
from tests.support.replicas import Replica

STUDENTS = 20
replica = replica_fixture("module")


@pytest.fixture(scope="module")
async def lesson(replica: Replica) -> Replica:
    await asyncio.to_thread(fill_lesson, replica.port, STUDENTS)
    return replica


async def test_each_cell_of_the_lesson_is_one(lesson: Replica) -> None:
    async with httpx.AsyncClient(base_url=f"{lesson.url}/api/v1") as api:
        cells = (await api.get(REQUESTS[WHAT])).raise_for_status().json()["cells"]
    added, *shared = cells
    assert (added["place"], added["reached"]) == ("added:0", 2)
    assert [cell["place"] for cell in shared] == [f"index:{n}" for n in range(CELLS)]
    again = 2 * 2  # executions of those who opened the notebook again
    assert {(cell["reached"], cell["executions"]) for cell in shared} == {(20, 40 + again)}


@pytest.mark.parametrize("what", REQUESTS)
async def test_each_view_of_the_lesson_shows_something(lesson: Replica, what: str) -> None:
    await asyncio.to_thread(call_for_help, lesson.port, STUDENTS)
    async with httpx.AsyncClient(base_url=f"{lesson.url}/api/v1") as api:
        view = (await api.get(REQUESTS[what])).raise_for_status().json()
    lists = [view] if isinstance(view, list) else [each for each in view.values() if each]
    assert any(isinstance(each, list) and each for each in lists), view
