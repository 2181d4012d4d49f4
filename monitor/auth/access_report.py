"""What the gate notices about a class: requests it turns away, and ids that two people share."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import asyncpg

from monitor.auth.keys import digest
from monitor.auth.limits import network_of
from monitor.auth.shared_ids import Key, SharedIds
from monitor.database import refusals
from monitor.database.columns import columns
from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 5.0  # seconds
_MAX_SENDERS = 10_000  # in memory, of each kind of refusal

Sender = TypeVar("Sender", tuple[bytes, str], tuple[int, str])  # a key or a class, and an address


class AccessReport:
    """Counts in memory, and writes to `class_refusals` and `shared_ids` every few seconds.

    Addresses are written as hashes with the key that was used, which is not in the database.
    """

    name = "access_report"

    def __init__(self, database: Database) -> None:
        self.shared_ids = SharedIds()
        self._database = database
        self._unknown_keys: Counter[tuple[bytes, str]] = Counter()
        self._over_limit: Counter[tuple[int, str]] = Counter()
        self._job = Job("Writing what the gate noticed", self._write, interval=_INTERVAL)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        """Writes the rest, unless PostgreSQL is away."""
        await self._job.stop()
        try:
            await self._write()
        except Unavailable:
            return  # these are counts for information: nobody waits for them

    async def health(self) -> ComponentHealth:
        return self._job.health()

    def refuse_key(self, key: str, address: str) -> None:
        """Counts a request with a key that is not valid: one that has ended, or unknown."""
        _add(self._unknown_keys, (digest(key), _hashed(address, key)), 1)

    def refuse_over_limit(self, class_id: int, key: str, address: str, events: int) -> None:
        """Counts events of a class's key that were beyond a limit."""
        _add(self._over_limit, (class_id, _hashed(address, key)), events)

    async def _write(self) -> None:
        unknown, self._unknown_keys = self._unknown_keys, Counter()
        over, self._over_limit = self._over_limit, Counter()
        shared = self.shared_ids.take()
        if not (unknown or over or shared):
            return
        try:
            async with self._database.transaction() as connection:
                ended = await _of_classes(connection, unknown)
                await refusals.note(connection, "ended_key", _by_class(ended))
                await refusals.note(connection, "over_limit", _by_class(over))
                await _write_shared(connection, shared)
        except BaseException:  # of PostgreSQL, or that this was cancelled
            for refused, events in unknown.items():
                _add(self._unknown_keys, refused, events)
            for sender, events in over.items():
                _add(self._over_limit, sender, events)
            self.shared_ids.give_back(shared)
            raise


def _add(counter: Counter[Sender], sender: Sender, events: int) -> None:
    if sender in counter or len(counter) < _MAX_SENDERS:
        counter[sender] += events


def _hashed(address: str, key: str) -> str:
    """The same at all replicas; who only has the database can't tell the address from it."""
    secret = hashlib.sha256(b"address" + key.encode()).digest()
    network = network_of(address).encode()
    return hashlib.blake2b(network, key=secret, digest_size=8).hexdigest()


async def _of_classes(
    connection: asyncpg.Connection, refused: Counter[tuple[bytes, str]]
) -> Counter[tuple[int, str]]:
    """Those with an ended key or token of a class: by class, and without the unknown ones."""
    digests = list({hashed for hashed, _ in refused})
    rows = await connection.fetch(_SELECT_ENDED, digests) if digests else []
    classes = {row["sha256"]: row["class_id"] for row in rows}
    ended: Counter[tuple[int, str]] = Counter()
    for (hashed, sender), events in refused.items():
        if hashed in classes:
            ended[classes[hashed], sender] += events
    return ended


def _by_class(refused: Counter[tuple[int, str]]) -> dict[int, dict[str, int]]:
    by_class: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for (class_id, sender), events in refused.items():
        by_class[class_id][sender] = events
    return by_class


async def _write_shared(connection: asyncpg.Connection, shared: Mapping[Key, datetime]) -> None:
    classes, user_ids = [class_id for class_id, _ in shared], [user_id for _, user_id in shared]
    rows = [
        (class_id, student_id, shared[class_id, user_id])
        for class_id, student_id, user_id in await connection.fetch(
            _SELECT_PEOPLE, classes, user_ids
        )
    ]
    await connection.execute(_WRITE_SHARED, *columns(rows, 3))


# Keys of classes, and students' tokens by the class that they were issued for.
_SELECT_ENDED = """
    SELECT k.sha256, k.class_id FROM ingest_keys AS k JOIN classes AS c ON c.id = k.class_id
    WHERE k.sha256 = ANY($1::bytea[]) AND (k.valid_to <= now() OR NOT c.is_active)
    UNION ALL
    SELECT sha256, class_id FROM student_tokens
    WHERE sha256 = ANY($1::bytea[]) AND class_id IS NOT NULL AND valid_to <= now()
"""

# Only of the class's own people, so that the table is bounded; in one order for all replicas.
_SELECT_PEOPLE = """
    SELECT m.class_id, m.student_id, s.user_id
    FROM unnest($1::bigint[], $2::text[]) AS t (class_id, user_id)
    JOIN students AS s ON s.user_id = t.user_id
    JOIN student_classes AS m ON m.student_id = s.id AND m.class_id = t.class_id
    WHERE m.role IN ('student', 'waiting')
    ORDER BY m.class_id, m.student_id FOR KEY SHARE OF s, m
"""

# It reads no table: Citus 14 can't insert what it has selected from one.
_WRITE_SHARED = """
    INSERT INTO shared_ids AS i (class_id, student_id, first_at, last_at)
    SELECT t.class_id, t.student_id, t.at, t.at
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS t (class_id, student_id, at)
    ORDER BY t.class_id, t.student_id
    ON CONFLICT (class_id, student_id) DO UPDATE SET
        last_at = GREATEST(i.last_at, EXCLUDED.last_at)
"""
