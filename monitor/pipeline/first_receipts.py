"""Judges whether events' times are usable, by PostgreSQL's clock, and each event once.

An event without a usable time is stored at its first receipt. Its retry, which may come later and
at another replica, has to be stored at the same time, or it would be another event.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import asyncpg
import msgspec

from monitor.database.columns import columns
from monitor.events.event import NEWEST, OLDEST, Event
from monitor.events.metadata import Metadata, as_raw, merged

_MAX_RETRY = timedelta(days=2)  # within which a retry comes
_MAX_STEP_BACK = timedelta(hours=1)  # by which PostgreSQL's clock may be put back
_AHEAD = timedelta(minutes=2)  # a time that is still to come may have been absurd yesterday

_METADATA = msgspec.json.Decoder(Metadata)


def usable_times(now: datetime) -> tuple[datetime, datetime]:
    """Times between these two are usable, and have been ever since a retry may have come."""
    return now - OLDEST + _MAX_RETRY, now + _AHEAD


async def judge(
    connection: asyncpg.Connection,
    events: list[Event],
    students: list[int],
    now: datetime,
    judged: Collection[int],
) -> None:
    """Gives each event without a usable time that of its first receipt.

    `students` are the events' students by id, `judged` those who have an event that was judged
    before; `now` is PostgreSQL's time.
    """
    oldest, newest = now - OLDEST, now + NEWEST
    hardly = newest - _MAX_STEP_BACK
    surely, ahead = usable_times(now)
    doubtful = [
        (student, event.id, _first_judgement(event, oldest, newest), event)
        for event, student in zip(events, students, strict=True)
        if event.untimed or not surely < event.time < ahead or student in judged
    ]
    if not doubtful:
        return
    doubtful.sort(key=lambda row: row[:3])
    to_record = [row for row in doubtful if not surely < row[3].time < hardly or row[3].untimed]
    if to_record:
        receipts = [row[3].received_at for row in to_record]
        await connection.execute(_INSERT, *columns(to_record, 3), receipts)
    rows = await connection.fetch(_SELECT, *columns(doubtful, 2))
    times = {(row["student_id"], row["event_id"]): row["stored_at"] for row in rows}
    for student, event_id, time, event in doubtful:
        _set_time(event, times.get((student, event_id), time))


def _first_judgement(event: Event, oldest: datetime, newest: datetime) -> datetime:
    is_usable = not event.untimed and oldest <= event.time <= newest
    return event.time if is_usable else event.received_at


def _set_time(event: Event, time: datetime) -> None:
    """Stores the event at this time; an absurd one that it claims is kept in its metadata."""
    if time != event.time and not event.untimed:
        metadata = merged(_METADATA.decode(event.metadata), {"eventTime": as_raw(event.time)})
        event.metadata = msgspec.json.encode(metadata).decode()
    event.time, event.untimed = time, False


_INSERT = """
    INSERT INTO first_receipts (student_id, event_id, stored_at, received_at)
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
    ON CONFLICT DO NOTHING
"""

_SELECT = """
    SELECT student_id, event_id, stored_at
    FROM unnest($1::bigint[], $2::uuid[]) AS doubtful (student_id, event_id)
    JOIN first_receipts USING (student_id, event_id)
"""
