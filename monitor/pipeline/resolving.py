"""Resolves a batch of events: whose each one is, in which class, when and where it happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import asyncpg
import msgspec

from monitor.events.event import Event
from monitor.pipeline import first_receipts
from monitor.pipeline.class_choice import Place
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.rosters import RosterCache

_MICROSECOND = timedelta(microseconds=1)


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """What an event's row refers to, all as ids; `alias` is a notebook as the event names it.

    `at` is the event's time put right by `clock_offset` (microseconds).
    """

    place: Place
    session: int | None
    alias: int | None
    cell: int | None
    clock_offset: int
    at: datetime


class Batch(NamedTuple):
    """A batch's events that are to be stored, with what each refers to.

    `positions` are their positions in the batch; `refused` are the others', with the reasons.
    """

    events: list[Event]
    resolved: list[Resolved]
    positions: Sequence[int]
    refused: dict[int, str]


class Resolver:
    """Decides each event's time and class, and finds, or adds, the rows that it refers to."""

    def __init__(self, ids: IdCache) -> None:
        self._ids = ids
        self._rosters = RosterCache()

    def forget(self) -> None:
        """Drops what is in memory: PostgreSQL may be another one."""
        self._ids.forget()
        self._rosters.forget()

    async def resolve(self, connection: asyncpg.Connection, events: list[Event]) -> Batch:
        """The batch as it is to be stored."""
        self._ids.make_room()
        students = await self._ids.students(connection, events)
        now = await self._rosters.refresh(connection)
        judged = await self._rosters.judged(connection, students)
        await first_receipts.judge(connection, events, students, now, judged)
        found, refused = await self._rosters.place(connection, events, students)
        positions: Sequence[int] = range(len(events))
        if refused:
            positions = [each for each in positions if each not in refused]
            events = [events[each] for each in positions]
        places = [place for place in found if place] if refused else found
        resolved = await self._resolve(connection, events, cast(list[Place], places))
        return Batch(events, resolved, positions, refused)

    async def _resolve(
        self, connection: asyncpg.Connection, events: list[Event], places: list[Place]
    ) -> list[Resolved]:
        ids = self._ids
        await ids.ensure_states(connection, places)
        senders = await ids.senders(connection, events, places)
        aliases = await ids.aliases(connection, events, places)
        cells = await ids.cells(connection, events, aliases)
        resolved = []
        for event, place, sender, alias, cell in zip(
            events, places, senders, aliases, cells, strict=True
        ):
            event.class_id = place.class_id
            time, received_at, offset = event.time, event.received_at, sender.offset
            if offset and time != received_at:  # else it has no time of its own
                at = min(time + offset * _MICROSECOND, received_at)
            else:
                at, offset = (time if time < received_at else received_at), 0
            session = sender.id if event.session else None
            resolved.append(Resolved(place, session, alias, cell, offset, at))
        return resolved
