"""Rounds: a lesson during which something happens, and the reckoning afterwards."""

import asyncio
import random
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

from tests.chaos.faults import FAULTS
from tests.chaos.lesson import Lesson
from tests.chaos.reckoning import Reckoning, reckon
from tests.chaos.results import Results
from tests.chaos.rosters import enrol
from tests.chaos.site import EmbeddedSite, Site, embedded_site, site
from tests.support.paths import CACHE

_numbers = count(1)


@dataclass(frozen=True)
class Hand:
    """Faults that are played one after the other at the same servers, each so many times."""

    faults: list[str]
    rounds: int


@dataclass(frozen=True)
class Game:
    """How the rounds are played: how long the faults last at most (s), and where results go."""

    outage: float
    seed: str
    results: Results | None = None


Round = tuple[str, Reckoning]  # the name of the fault


def side_by_side(hands: Sequence[Hand], game: Game, jobs: int) -> Iterator[Round]:
    """Plays each hand at servers of its own, `jobs` hands at once."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(_play_hand, hand, game): hand for hand in hands}
        try:
            for future in as_completed(futures):
                if error := future.exception():
                    failed = Reckoning(failure="".join(traceback.format_exception(error)))
                    for name in futures[future].faults:
                        if game.results:
                            game.results.add(name, game.outage, failed)
                        yield name, failed
                else:
                    yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C is not for the present hands alone


def _play_hand(hand: Hand, game: Game) -> list[Round]:
    random.seed(f"{game.seed} {hand.faults}")
    return asyncio.run(_play_faults(hand, game))


async def _play_faults(hand: Hand, game: Game) -> list[Round]:
    rounds: list[Round] = []
    async with AsyncExitStack() as stack:
        here: Site | None = None
        for name in [name for name in hand.faults for _ in range(hand.rounds)]:
            wanted = embedded_site if FAULTS[name].embedded else site
            if here and isinstance(here, EmbeddedSite) != FAULTS[name].embedded:
                here = None
                await stack.aclose()
            if here is None:
                here = await stack.enter_async_context(wanted())
            reckoning = await _try(here, name, game.outage)
            rounds.append((name, reckoning))
            if game.results:
                game.results.add(name, game.outage, reckoning)
            if reckoning.failure:  # these servers can't be trusted any more
                here = None
                await stack.aclose()
    return rounds


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
    site.lesson = lesson = Lesson(site.urls, f"r{next(_numbers)}", fault.habits)
    await enrol(site, lesson.journal.prefix)
    async with lesson.going_on():
        await asyncio.sleep(random.uniform(0.2, 1))
        async with lesson.paused() if fault.in_break else nullcontext():
            try:
                await fault.harm(site, outage)
            finally:
                await site.restore()
        await asyncio.sleep(1 if fault.in_break else 0.3)
    return await reckon(site, lesson.journal)


def _keep_logs(site: Site, name: str, reckoning: Reckoning) -> None:
    """Keeps the logs of a broken promise."""
    directory = CACHE / "chaos"
    directory.mkdir(parents=True, exist_ok=True)
    text = [str(reckoning), *(replica.output() for replica in site.replicas)]
    text.append(site.postgres.log.read_text(errors="replace"))
    (directory / f"{name}.log").write_text("\n\n".join(text))
