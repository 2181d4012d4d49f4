"""Resolves a batch of events: whose each one is, in which class, when and where it happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
import msgspec

from monitor.events.event import Event
from monitor.pipeline import first_receipts, rosters
from monitor.pipeline.class_choice import NO_CLASS, Member, class_of, is_class_key
from monitor.pipeline.id_cache import IdCache, Sender
from monitor.pipeline.rosters import Situation

_MICROSECOND = timedelta(microseconds=1)
_NOT_TAKEN = frozenset({"not_on_roster", "too_many_waiting"})


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """What an event's row refers to, all as ids; `alias` is a notebook as the event names it.

    `at` is the event's time put right by `clock_offset` (microseconds). A `disputed` event is
    claimed for a student whose own credential lives in that class: it is stored, no more than that.
    `line` is the student's line on the class's roster; `attended` are the classes that they attend
    if the event has none.
    """

    student: int
    session: int | None
    class_id: int
    alias: int | None
    cell: int | None
    clock_offset: int
    at: datetime
    disputed: bool
    line: Member | None
    attended: list[int] = []


class Batch(NamedTuple):
    """A batch's events that are to be stored, with what each refers to.

    `positions` are their positions in the batch; `refused` are the others', with the reasons.
    """

    events: list[Event]
    resolved: list[Resolved]
    positions: Sequence[int]
    refused: dict[int, str]


async def resolve(connection: asyncpg.Connection, cache: IdCache, events: list[Event]) -> Batch:
    """Decides each event's time and class, and looks up, or adds, the rows that it refers to."""
    cache.make_room()
    students = await cache.students(connection, events)
    situation = await rosters.look_up(connection, events, students)
    outcomes = await rosters.join(connection, events, students, situation.rosters)
    refused: dict[int, str] = {}
    positions: Sequence[int] = range(len(events))
    if outcomes:
        refused = _refused(events, students, outcomes)
        positions = [each for each in positions if each not in refused]
        events = [events[each] for each in positions]
        students = [students[each] for each in positions]
    resolved = await _resolve(connection, cache, events, students, situation)
    return Batch(events, resolved, positions, refused)


async def _resolve(
    connection: asyncpg.Connection,
    cache: IdCache,
    events: list[Event],
    students: list[int],
    situation: Situation,
) -> list[Resolved]:
    await first_receipts.judge(connection, events, students, situation.now, situation.judged)
    known = situation.rosters
    classes = [
        class_of(event, student, known) for event, student in zip(events, students, strict=True)
    ]
    await cache.ensure_states(connection, set(zip(students, classes, strict=True)))
    senders = await cache.senders(connection, events, students)
    aliases = await cache.aliases(connection, events, classes)
    cells = await cache.cells(connection, events, aliases)
    resolved = []
    for event, student, class_id, sender, alias, cell in zip(
        events, students, classes, senders, aliases, cells, strict=True
    ):
        event.class_id = class_id
        lines = known.members.get(student, _NO_LINES)
        clock_offset, at = _put_right(event, sender)
        is_disputed = not event.source.verified and (student, class_id) in situation.verified
        resolved.append(
            Resolved(
                student=student,
                session=sender.id if event.session else None,
                class_id=class_id,
                alias=alias,
                cell=cell,
                clock_offset=clock_offset,
                at=at,
                disputed=is_disputed,
                line=lines.get(class_id),
                attended=[] if class_id else _attended(lines),
            )
        )
    return resolved


_NO_LINES: dict[int, Member] = {}


def _attended(lines: dict[int, Member]) -> list[int]:
    return [class_id for class_id, line in lines.items() if line.role == "student"]


def _put_right(event: Event, sender: Sender) -> tuple[int, datetime]:
    """The sender's clock offset (microseconds), and the event's time put right by it."""
    offset, received_at = sender.clock.offset, event.received_at
    if not offset or event.time == received_at:  # the latter has no time of its own
        return 0, min(event.time, received_at)
    return offset // _MICROSECOND, min(event.time + offset, received_at)


def _refused(
    events: list[Event], students: list[int], outcomes: dict[tuple[int, int], str]
) -> dict[int, str]:
    """The events that their class does not take, by position, with the reason."""
    refused = {}
    for position, (event, student) in enumerate(zip(events, students, strict=True)):
        if is_class_key(event.source):
            outcome = outcomes.get((student, event.source.class_id or NO_CLASS))
            if outcome in _NOT_TAKEN:
                refused[position] = outcome
    return refused
