"""Rounds: a lesson during which something happens, and the reckoning afterwards."""

import asyncio
import random
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context

from tests.chaos.extension import Lesson
from tests.chaos.faults import FAULTS
from tests.chaos.reckoning import Reckoning, reckon, totals_differ
from tests.chaos.site import Site, site
from tests.support.paths import CACHE

_numbers = count(1)


@dataclass
class FaultResult:
    """The results of a fault's rounds, and the counters that differed from the rows after them."""

    fault: str
    rounds: list[Reckoning] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return all(each.kept for each in self.rounds) and not self.differing


@dataclass(frozen=True)
class Game:
    """How the rounds are played: how many of each fault, and for how long at most (s)."""

    rounds: int
    outage: float
    seed: str


def side_by_side(hands: Sequence[list[str]], game: Game, jobs: int) -> Iterator[FaultResult]:
    """Plays each hand's faults one after the other at servers of its own; `jobs` hands at once."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(_play_hand, hand, game): hand for hand in hands}
        try:
            for future in as_completed(futures):
                if error := future.exception():
                    failed = Reckoning(failure="".join(traceback.format_exception(error)))
                    yield from (FaultResult(name, [failed]) for name in futures[future])
                else:
                    yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C is not for the present hands alone


def _play_hand(names: list[str], game: Game) -> list[FaultResult]:
    random.seed(f"{game.seed} {names}")
    return asyncio.run(_play_faults(names, game))


async def _play_faults(names: list[str], game: Game) -> list[FaultResult]:
    results = [FaultResult(name) for name in names]
    async with AsyncExitStack() as stack:
        here: Site | None = None
        for result in results:
            for _ in range(game.rounds):
                if here is None:
                    here = await stack.enter_async_context(site())
                result.rounds.append(reckoning := await _try(here, result.fault, game.outage))
                if reckoning.failure:  # these servers can't be trusted any more
                    here = None
                    await stack.aclose()
            if here:
                result.differing = await totals_differ(here)
    return results


async def _try(site: Site, name: str, outage: float) -> Reckoning:
    try:
        reckoning = await play(site, name, outage)
    except Exception as error:  # noqa: BLE001 - a round that fails is a result, too
        reckoning = Reckoning(failure="".join(traceback.format_exception(error)))
    if not reckoning.kept:
        _keep_logs(site, name, reckoning)
    return reckoning


async def play(site: Site, name: str, outage: float) -> Reckoning:
    """A round in which the fault of that name happens, for at most about `outage` seconds."""
    fault = FAULTS[name]
    lesson = Lesson(site.urls, f"r{next(_numbers)}", fault.poison, fault.everywhere)
    async with lesson.going_on():
        await asyncio.sleep(random.uniform(0.2, 1))
        try:
            await fault.harm(site, outage)
        finally:
            await site.restore()
        await asyncio.sleep(0.3)
    return await reckon(site, lesson.journal)


def _keep_logs(site: Site, name: str, reckoning: Reckoning) -> None:
    """Keeps the logs of a broken promise."""
    directory = CACHE / "chaos"
    directory.mkdir(parents=True, exist_ok=True)
    text = [str(reckoning), *(replica.output() for replica in site.replicas)]
    text.append(site.postgres.log.read_text(errors="replace"))
    (directory / f"{name}.log").write_text("\n\n".join(text))
