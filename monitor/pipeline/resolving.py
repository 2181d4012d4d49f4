"""Resolves a batch of events: whose each one is, in which class, when and where it happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
import msgspec

from monitor.events.event import Event, Source
from monitor.pipeline import first_receipts, new_names
from monitor.pipeline.class_choice import Place
from monitor.pipeline.id_cache import CellKey, IdCache, Row
from monitor.pipeline.rosters import Refusal, RosterCache, Version, over_limit
from monitor.pipeline.senders import Sender

_MICROSECOND = timedelta(microseconds=1)
_MAX_KNOWN = 100_000  # students, sessions and sources in memory


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
    `version` is that of the rosters which decided their classes, `refusals` what the pages of
    classes are to say of who was not let in.
    """

    events: list[Event]
    resolved: list[Resolved]
    positions: Sequence[int]
    refused: dict[int, str]
    version: Version | None
    refusals: list[Refusal]


class _Known(NamedTuple):
    """What holds for all events of a student, a session and a source until rosters change.

    `aliases` are those of the class, by path. `source` is kept so that its id stays its own.
    """

    place: Place
    sender: Sender
    aliases: dict[str, int]
    source: Source


class Resolver:
    """Decides each event's time and class, and finds, or adds, the rows that it refers to."""

    def __init__(self, ids: IdCache) -> None:
        self._ids = ids
        self._rosters = RosterCache()
        self._merged = 0
        self._known: dict[tuple[str, str | None, int], _Known] = {}

    def forget(self) -> None:
        """Drops what is in memory: PostgreSQL may be another one."""
        self._ids.forget()
        self.outdate()

    def outdate(self) -> None:
        """Drops the rosters: they have changed."""
        self._rosters.forget()
        self._known = {}

    async def resolve(self, connection: asyncpg.Connection, events: list[Event]) -> Batch:
        """Resolves the events of a batch."""
        is_full = self._ids.make_room() or len(self._known) > _MAX_KNOWN
        if is_full or self._rosters.is_outdated:
            self.outdate()
            await self._rosters.load(connection)
        if self._rosters.merged != self._merged:
            self._merged = self._rosters.merged
            self._ids.forget_students()
        # Other batches may load another version meanwhile. Then this one's is the older, and the
        # transaction that stores it notices.
        version, now = self._rosters.version, self._rosters.now
        found, unknown = self._look_up(events, now)
        refused: dict[int, str] = {}
        refusals: list[Refusal] = []
        if unknown:
            refused, refusals = await self._find(connection, events, unknown, found, now=now)
            if self._rosters.version != version:  # with who joined, others may have changed
                self._known, version = {}, self._rosters.version
                found, unknown = self._look_up(events, now)
                refused, refusals = await self._find(connection, events, unknown, found, now=now)
        positions: Sequence[int] = range(len(events))
        if refused:
            positions = [each for each in positions if each not in refused]
            events = [events[each] for each in positions]
        known = [each for each in found if each]
        resolved, unnamed = await self._resolve(connection, events, known)
        return Batch(
            events=events,
            resolved=resolved,
            positions=positions,
            refused=refused,
            version=version,
            refusals=refusals + unnamed + self._ids.new.take_refusals(),
        )

    def _look_up(self, events: list[Event], now: datetime) -> tuple[list[_Known | None], list[int]]:
        """What is known of each event, and the positions of those that need a closer look."""
        known = self._known
        surely, ahead = first_receipts.usable_times(now)
        found: list[_Known | None] = []
        unknown: list[int] = []
        for position, event in enumerate(events):
            each = known.get((event.student, event.session, id(event.source)))
            if each is not None and event.class_code is None and not event.untimed:
                sender, time, received_at = each.sender, event.time, event.received_at
                if (
                    sender.from_delay <= received_at - time <= sender.to_delay
                    and surely < time < ahead
                    and time >= sender.start_time
                ):
                    sender.previous = time, received_at
                    found.append(each)
                    continue
            unknown.append(position)
            found.append(None)
        return found, unknown

    async def _find(
        self,
        connection: asyncpg.Connection,
        events: list[Event],
        unknown: list[int],
        found: list[_Known | None],
        *,
        now: datetime,
    ) -> tuple[dict[int, str], list[Refusal]]:
        """Finds what is not known, and fills it in; by position, why a class refuses an event."""
        memory = self._known
        unknown = _with_same_sender(events, unknown)
        unknown, students, over = await self._students(connection, events, unknown)
        chosen = [events[position] for position in unknown]
        unnamed = new_names.of_students(events[position] for position in over)
        rosters = self._rosters
        judged = await rosters.judged(connection, students)
        await first_receipts.judge(connection, chosen, students, now, judged)
        placed = list(zip(chosen, students, strict=True))
        places, refused, refusals = await rosters.place(connection, placed)
        taken = [chosen[each] for each in places]
        await self._ids.ensure_states(connection, list(places.values()))
        senders = await self._ids.senders(connection, taken, list(places.values()))
        for (position, place), event, sender in zip(places.items(), taken, senders, strict=True):
            aliases = self._ids.aliases_of(place.class_id)
            known = _Known(place, sender, aliases, event.source)
            found[unknown[position]] = known
            if rosters.is_lasting(event, place) and place.student not in judged:
                memory[event.student, event.session, id(event.source)] = known
        over |= {unknown[position]: reason for position, reason in refused.items()}
        return over, refusals + unnamed

    async def _students(
        self, connection: asyncpg.Connection, events: list[Event], chosen: list[int]
    ) -> tuple[list[int], list[int], dict[int, str]]:
        """The chosen positions whose students have ids, the ids, and why the others have none."""
        ids = await self._ids.students(connection, [events[position] for position in chosen])
        over = [position for position, each in zip(chosen, ids, strict=True) if each is None]
        positions = [
            position for position, each in zip(chosen, ids, strict=True) if each is not None
        ]
        students = [each for each in ids if each is not None]
        return positions, students, dict.fromkeys(over, new_names.TOO_MANY_STUDENTS)

    async def _resolve(
        self, connection: asyncpg.Connection, events: list[Event], known: list[_Known]
    ) -> tuple[list[Resolved], list[Refusal]]:
        cells = self._ids.cells
        resolved = _refer(events, known, cells)
        if resolved is not None:
            return resolved, []
        await self._name(connection, events, known, cells)
        resolved = _refer(events, known, cells, has_all=True) or []
        pairs = zip(events, resolved, strict=True)
        return resolved, over_limit((event, each.alias, each.cell) for event, each in pairs)

    async def _name(
        self,
        connection: asyncpg.Connection,
        events: list[Event],
        known: list[_Known],
        cells: dict[CellKey, int],
    ) -> None:
        """Finds or adds the notebooks and cells that the events name and that are not known."""
        missing = {
            (each.place.class_id, event.notebook): each.place.student
            for event, each in zip(events, known, strict=True)
            if event.notebook and event.notebook not in each.aliases
        }
        if missing:
            named = await self._ids.name_notebooks(connection, missing)
            # Two of one class may keep different aliases: another batch may have failed meanwhile.
            for event, each in zip(events, known, strict=True):
                if alias := named.get((each.place.class_id, event.notebook or "")):
                    each.aliases[event.notebook or ""] = alias
        rows: dict[CellKey, Row] = {}
        for event, each in zip(events, known, strict=True):
            alias, cell = each.aliases.get(event.notebook or ""), event.cell
            if alias and cell and (alias, cell) not in cells:
                place = each.place
                numbers = place.student, place.class_id
                rows[alias, cell] = (*numbers, alias, cell, event.cell_type, event.cell_index)
        if rows:
            await self._ids.add_cells(connection, rows, cells)


def _refer(
    events: list[Event], known: list[_Known], cells: dict[CellKey, int], has_all: bool = False
) -> list[Resolved] | None:
    """What the events refer to, whose class it sets; None if some name is not known.

    With `has_all` such names are beyond a student's limit, and have no id.
    """
    resolved = []
    for event, (place, sender, aliases, _) in zip(events, known, strict=True):
        notebook, name, cell = event.notebook, event.cell, None
        alias = aliases.get(notebook) if notebook else None
        if alias and name:
            cell = cells.get((alias, name))
        if cell is None and not has_all and (name if alias else notebook):
            return None
        event.class_id = place.class_id
        at, received_at, offset = event.time, event.received_at, sender.offset
        if offset:
            if at == received_at:  # it has no time of its own
                offset = 0
            at += offset * _MICROSECOND
        if at > received_at:
            at = received_at
        session = sender.id if event.session else None
        resolved.append(Resolved(place, session, alias, cell, offset, at))
    return resolved


def _with_same_sender(events: list[Event], chosen: list[int]) -> list[int]:
    """The chosen positions, and those of their senders' other events, to judge them together."""
    senders = {(events[each].student, events[each].session) for each in chosen}
    return [
        position
        for position, event in enumerate(events)
        if (event.student, event.session) in senders
    ]
