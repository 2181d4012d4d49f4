"""Finds events' senders, and judges their clocks: see sender_clock."""

from collections import defaultdict
from datetime import datetime, timedelta
from operator import itemgetter

import asyncpg

from monitor.database.columns import columns
from monitor.events.event import Event
from monitor.pipeline.class_choice import Place
from monitor.pipeline.sender_clock import Moment, SenderClock

_MICROSECOND = timedelta(microseconds=1)

SenderKey = tuple[int, str, str]  # a student's id, session and credential; '' is none


class Sender:
    """A student's session and a credential: the session's id and earliest event, and the clock.

    `offset` is that of the clock in microseconds. Events whose delay lies between `from_delay` and
    `to_delay` leave the clock as it is. `previous` is the latest event that this process has seen.
    `is_new` says whether the session's row was added for it.
    """

    __slots__ = (
        "clock",
        "from_delay",
        "id",
        "is_new",
        "offset",
        "previous",
        "start_time",
        "to_delay",
    )

    def __init__(
        self, row_id: int, start_time: datetime, clock: SenderClock, *, is_new: bool
    ) -> None:
        self.id = row_id
        self.is_new = is_new
        self.start_time = start_time
        self.previous: tuple[datetime, datetime] | None = None  # claimed, received
        self.set(clock)

    def set(self, clock: SenderClock) -> None:
        """Sets the clock."""
        self.clock = clock
        self.offset = 0 if clock.offset is None else clock.offset // _MICROSECOND
        self.from_delay, self.to_delay = clock.explained


async def find_senders(
    connection: asyncpg.Connection,
    senders: dict[SenderKey, Sender],
    events: list[Event],
    places: list[Place],
) -> list[Sender]:
    """The events' senders, their clocks judged by all of the events.

    `senders` are those in memory, to which new ones are added.
    """
    unexplained: set[SenderKey] = set()
    keys = [
        (place.student, event.session or "", event.source.credential or "")
        for event, place in zip(events, places, strict=True)
    ]
    for event, key in zip(events, keys, strict=True):
        sender = senders.get(key)
        if sender is None or event.time < sender.start_time:
            unexplained.add(key)
            continue
        delay = event.received_at - event.time
        if event.source.sent_offset is not None:
            delay = min(delay, event.source.sent_offset * _MICROSECOND)
        if sender.from_delay <= delay <= sender.to_delay or not delay:
            continue
        unexplained.add(key)
    if unexplained:
        by_sender: defaultdict[SenderKey, list[Event]] = defaultdict(list)
        for event, key in zip(events, keys, strict=True):
            if key in unexplained:
                by_sender[key].append(event)
        await _judge_clocks(connection, senders, by_sender)
    senders_of_events = [senders[key] for key in keys]
    for sender, event in zip(senders_of_events, events, strict=True):
        sender.previous = event.time, event.received_at
    return senders_of_events


async def _judge_clocks(
    connection: asyncpg.Connection,
    senders: dict[SenderKey, Sender],
    by_sender: dict[SenderKey, list[Event]],
) -> None:
    """Sets senders' clocks by their events of a batch; adds missing senders."""
    await _upsert_senders(connection, senders, by_sender)
    changed, corrections = [], []
    for key, events in sorted(by_sender.items(), key=itemgetter(0)):
        sender = senders[key]
        before = sender.clock
        _set_clock(sender, events)
        if sender.clock != before:
            changed.append(_clock_row(sender, key[2]))
        if since := sender.clock.explains_since(before):
            session = sender.id if key[1] else None
            corrections.append((key[0], session, key[2] or None, *since, sender.offset))
    if corrections:
        await connection.execute(_CORRECT_CLOCKS, *columns(corrections, 6))
    if changed:
        await connection.execute(
            _UPSERT_CLOCKS, *columns(sorted(changed, key=lambda row: row[:2]), 5)
        )


def _set_clock(sender: Sender, events: list[Event]) -> None:
    """Events that were sent together count as one: that of the least delay."""
    together: defaultdict[datetime, list[Event]] = defaultdict(list)
    for event in events:
        if event.time != event.received_at:  # else it has no time of its own
            together[event.received_at].append(event)
    for received_at in sorted(together):
        event = max(together[received_at], key=lambda event: event.time)
        moment, sent = Moment(event.time, received_at), event.source.sent_offset
        sent_offset = None if sent is None else sent * _MICROSECOND
        previous = Moment(*sender.previous) if sender.previous else None
        sender.set(sender.clock.after(moment, previous, sent_offset))
        sender.previous = moment


async def _upsert_senders(
    connection: asyncpg.Connection,
    senders: dict[SenderKey, Sender],
    by_sender: dict[SenderKey, list[Event]],
) -> None:
    """Reads senders, whose clocks another replica may have set; adds missing ones."""
    keys = sorted(by_sender)
    starts = [min(event.time for event in by_sender[key]) for key in keys]
    sessions = {
        (row["student_id"], row["session_id"]): row
        for row in await connection.fetch(_UPSERT_SESSIONS, *columns(keys, 2), starts)
    }
    ids = [sessions[key[:2]]["id"] for key in keys]
    clocks = {
        (row["session_id"], row["credential"]): _clock(row)
        for row in await connection.fetch(_SELECT_CLOCKS, ids, [key[2] for key in keys])
    }
    for key, session_id in zip(keys, ids, strict=True):
        known, clock = senders.get(key), clocks.get((session_id, key[2]), SenderClock())
        session = sessions[key[:2]]
        sender = Sender(session_id, session["start_time"], clock, is_new=session["is_new"])
        senders[key] = sender
        sender.previous = known.previous if known else None


def _clock(row: asyncpg.Record) -> SenderClock:
    offset, at = row["clock_offset"], row["doubtful_at"]
    return SenderClock(
        None if offset is None else offset * _MICROSECOND,
        None if at is None else Moment(at, row["doubtful_received_at"]),
    )


def _clock_row(
    sender: Sender, credential: str
) -> tuple[int, str, int | None, datetime | None, datetime | None]:
    offset, doubtful = sender.clock
    offset_us = None if offset is None else offset // _MICROSECOND
    claimed, received = doubtful or (None, None)
    return sender.id, credential, offset_us, claimed, received


# Sessions are locked in the order of `rows.session_changes`: Python compares texts as "C" does.
_UPSERT_SESSIONS = """
    INSERT INTO sessions AS s (student_id, session_id, start_time)
    SELECT student_id, session_id, min(start_time)
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[])
        AS t (student_id, session_id, start_time)
    GROUP BY student_id, session_id ORDER BY student_id, session_id COLLATE "C"
    ON CONFLICT (student_id, session_id)
    DO UPDATE SET start_time = LEAST(s.start_time, EXCLUDED.start_time)
    RETURNING id, student_id, session_id, start_time, xmax = 0 AS is_new
"""

_SELECT_CLOCKS = """
    SELECT c.* FROM unnest($1::bigint[], $2::text[]) AS t (session_id, credential)
    CROSS JOIN LATERAL (
        SELECT * FROM sender_clocks
        WHERE session_id = t.session_id AND credential = t.credential OFFSET 0
    ) AS c
"""

_UPSERT_CLOCKS = """
    INSERT INTO sender_clocks (
        session_id, credential, clock_offset, doubtful_at, doubtful_received_at)
    SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[]
    )
    ON CONFLICT (session_id, credential) DO UPDATE SET clock_offset = EXCLUDED.clock_offset,
        doubtful_at = EXCLUDED.doubtful_at, doubtful_received_at = EXCLUDED.doubtful_received_at
"""

_CORRECT_CLOCKS = "SELECT correct_clocks($1, $2, $3, $4, $5, $6)"
