"""The benchmark's lesson: places are what a class of real students has."""

import asyncpg

from bench.lesson import CELLS, fill_lesson
from monitor.insight.cells import CellsQuery, notebook_progress


async def test_each_cell_of_the_lesson_is_one(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await fill_lesson(connection, 20)
        progress = await notebook_progress(connection, [1], 1, CellsQuery())
    assert [cell.place for cell in progress.cells] == [f"index:{n}" for n in range(CELLS)]
    assert {(cell.reached, cell.executions) for cell in progress.cells} == {(20, 40)}
