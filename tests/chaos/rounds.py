"""Rounds: a lesson during which something happens, and the reckoning afterwards."""

import asyncio
import random
from itertools import count

from tests.chaos.extension import Lesson
from tests.chaos.faults import FAULTS
from tests.chaos.reckoning import Reckoning, reckon
from tests.chaos.site import Site

_numbers = count(1)


async def play(site: Site, name: str, outage: float) -> Reckoning:
    """A round in which the fault of that name happens, for at most about `outage` seconds."""
    fault = FAULTS[name]
    lesson = Lesson(site.urls, f"r{next(_numbers)}", fault.poison, fault.everywhere)
    async with lesson.going_on():
        await asyncio.sleep(random.uniform(0.2, 1))
        try:
            await fault.harm(site, outage)
        finally:
            await site.mend()
        await asyncio.sleep(0.3)
    return await reckon(site, lesson.journal)
