"""Notes whose events were sent with which credential in which hour.

So the events of a key can be listed, and withdrawn, without an index on the tables of events.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from monitor.database.columns import columns
from monitor.events.event import Event
from monitor.pipeline.class_choice import Place
from monitor.pipeline.rows import PendingRow

_HOUR = timedelta(hours=1)
_MAX_KNOWN = 100_000  # rows in memory

Key = tuple[str, datetime, int]  # credential, hour of receipt, student
Span = tuple[datetime, datetime]  # between which the events' claimed times lie, in whole hours


class CredentialLog:
    """Writes to credential_hours, each row as seldom as possible: spans are whole hours."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Writes all rows again: PostgreSQL may have lost some."""
        self._known: dict[Key, Span] = {}
        self._recent: dict[int, _Written] = {}  # by the id of the place

    def unknown(self, rows: list[PendingRow]) -> dict[Key, Span]:
        """What has to be written for the rows of a batch."""
        recent, changed = self._recent, dict[Key, Span]()
        for row in rows:
            event, place = row.event, row.resolved.place
            if event.source.credential is None:
                continue
            written = recent.get(id(place))
            if written is None or not written.covers(event):
                self._add(event, place, changed)
        return changed

    def _add(self, event: Event, place: Place, changed: dict[Key, Span]) -> None:
        key = (event.source.credential or "", _hour(event.received_at), place.student)
        span, start = changed.get(key) or self._known.get(key), _hour(event.time)
        if span is None:
            changed[key] = (start, start + _HOUR)
        elif not span[0] <= event.time <= span[1]:
            changed[key] = (min(span[0], start), max(span[1], start + _HOUR))
        else:
            self._recent[id(place)] = _Written(place, key[1], key[1] + _HOUR, *span)

    def keep(self, written: dict[Key, Span]) -> None:
        """Remembers what has been committed."""
        if len(self._known) + len(written) > _MAX_KNOWN or len(self._recent) > _MAX_KNOWN:
            self.forget()
        self._known.update(written)


class _Written(NamedTuple):
    """What is written for the events of a place; it is kept, so that its id stays its own."""

    place: Place
    since: datetime
    until: datetime
    first_at: datetime
    last_at: datetime

    def covers(self, event: Event) -> bool:
        """Whether the event needs nothing new."""
        return (
            self.since <= event.received_at < self.until
            and self.first_at <= event.time <= self.last_at
        )


async def write(connection: asyncpg.Connection, spans: dict[Key, Span]) -> None:
    """Writes in the batch's transaction."""
    if spans:
        rows = [(*key, *span) for key, span in sorted(spans.items())]
        await connection.execute(_UPSERT, *columns(rows, 5))


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


# A key that events came with can't be deleted: `key 7` is the id 7.
_UPSERT = """
    WITH said AS (
        SELECT * FROM unnest(
            $1::text[], $2::timestamptz[], $3::bigint[], $4::timestamptz[], $5::timestamptz[]
        ) AS s (credential, hour, student_id, first_at, last_at)
    ), marked AS (
        UPDATE ingest_keys SET has_events = true WHERE id IN (
            SELECT id FROM ingest_keys WHERE NOT has_events AND id IN (
                SELECT substr(credential, 5)::bigint FROM said WHERE credential ~ '^key [0-9]+$'
            )
            ORDER BY id FOR NO KEY UPDATE
        )
    )
    INSERT INTO credential_hours AS h (credential, hour, student_id, first_at, last_at)
    SELECT * FROM said ORDER BY credential, hour, student_id
    ON CONFLICT (credential, hour, student_id) DO UPDATE SET
        first_at = LEAST(h.first_at, EXCLUDED.first_at),
        last_at = GREATEST(h.last_at, EXCLUDED.last_at)
    WHERE h.first_at > EXCLUDED.first_at OR h.last_at < EXCLUDED.last_at
"""
