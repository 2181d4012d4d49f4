"""What a batch's events refer to, while other batches are resolved or fail."""

from datetime import timedelta

import asyncpg
import pytest

from monitor.events.event import Event
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.resolving import Resolver
from tests.support.factories import make_event, now

DELAY = timedelta(milliseconds=20)  # from an event until it is received
NEW = {"notebook": "new.ipynb", "cell": "new"}


async def test_a_batch_keeps_its_notebooks_while_another_one_fails(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has all ids forgotten after ana was found and before ben was looked up."""
    ids = IdCache(1_000)
    resolver = Resolver(ids)
    look_up = ids.students

    async def look_up_after_a_failure(
        connection: asyncpg.Connection, events: list[Event]
    ) -> list[int | None]:
        monkeypatch.undo()
        resolver.forget()
        await resolver.resolve(connection, [make_event()])
        return await look_up(connection, events)

    async with pool.acquire() as connection:
        for _ in range(2):
            await resolver.resolve(connection, [make_event(student="ana", time=now() - DELAY)])
        monkeypatch.setattr(ids, "students", look_up_after_a_failure)
        events = [
            make_event(student=name, time=now() - DELAY, **NEW) for name in ("ana", "ben", "ana")
        ]
        batch = await resolver.resolve(connection, events)
    assert all(each.alias and each.cell for each in batch.resolved)
    assert len({each.alias for each in batch.resolved}) == 1
