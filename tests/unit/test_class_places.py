"""The places of a notebook that most students have reached."""

import asyncio
import random

from monitor.insight.class_places import Place, most_reached, order, reached
from monitor.insight.notebook_rows import ADDED, INDEX, NAMED, Cell
from monitor.pace import Pace

RESTS = 5  # at least, each after 2 ms of the work


def place_of(kind: int, key: int, students: int, at: int | None) -> Place:
    place = Place(kind, key)
    for student in range(students):
        cell = Cell(student, 1, 1, 1, 0, None, None, None, 0, 0, "code", 0, key, 1, None, None, ())
        cell.kind, cell.key, cell.at = kind, key, at
        place.cells.add(cell)
    return place


async def test_those_of_most_students_come_first_and_of_as_many_the_upper_ones() -> None:
    random.seed(7)
    places = [
        place_of(kind, key, random.randint(1, 3), random.choice((None, 0, 1, 2)))
        for kind in (ADDED, INDEX, NAMED)
        for key in range(20)
    ]
    by_hand = sorted(places, key=lambda place: (-len(place.of(reached)), order(place)))
    for most in (1, 7, 60, 100):
        assert await most_reached(places, most, Pace(60)) == by_hand[:most]


async def test_others_take_their_turns_while_many_places_are_ranked() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    places = [place_of(NAMED, key, 1, 0) for key in range(20_000)]
    for place in places:
        place.of(reached)  # what remains is the ranking
    task = asyncio.create_task(others())
    await most_reached(places, 500, Pace(60))
    task.cancel()
    assert turns > RESTS
