"""The valid ingest keys in memory, so that no request waits for the database."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from monitor.auth.keys import digest
from monitor.auth.principal import Principal
from monitor.database.pool import Database, schema_errors_as_unavailable
from monitor.errors import OverLimit, Unauthenticated, Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 2.0  # seconds within which every replica knows of a change
_MIN_INTERVAL = 0.5  # seconds between two look-ups for unknown keys


class CachedKey(msgspec.Struct, array_like=True):
    """A key in memory and in the file. `valid_to` is in seconds since 1970."""

    sha256: bytes
    id: int
    class_id: int | None
    valid_to: float | None


class Keyring:
    """All valid keys, refreshed when one has changed, and their usage of today.

    `in_use` has the keys of recent requests in clear text, so that no request waits for a hash.
    While PostgreSQL is unavailable the last keys stay valid: after a start, those in `path`.
    """

    name = "ingest_keys"

    def __init__(self, database: Database, path: Path, daily_events: int) -> None:
        self._database = database
        self._path = path
        self._daily_events = daily_events
        self._keys: dict[bytes, Principal] | None = None
        self.in_use: dict[str, Principal] = {}
        self._state: tuple[int, int] | None = None
        self._refreshed_at = -1e9
        self._refreshing = asyncio.Lock()
        self._unwritten: dict[str, int] = {}
        self._today: dict[str, int] = {}
        self._job = Job("Looking up ingest keys", self._run, interval=_INTERVAL)
        self._tried = asyncio.Event()  # set after the first look-up, even a failed one

    async def start(self) -> None:
        """Returns once the keys are known, or can't be looked up now."""
        with suppress(OSError, msgspec.MsgspecError):  # then PostgreSQL has to answer
            self._use(msgspec.json.decode(self._path.read_bytes(), type=list[CachedKey]))
        self._job.start()
        await self._tried.wait()

    async def stop(self, deadline: float) -> None:
        """Writes what has not been written yet of the keys' usage."""
        await self._job.stop()
        with suppress(Unavailable):
            await self.refresh()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def principal(self, key: str) -> Principal:
        """A key's principal. Raises Unauthenticated, and Unavailable before the first look-up."""
        hashed = digest(key)
        if self._keys is None or hashed not in self._keys:
            await self._refresh_if_due()
        if self._keys is None:
            raise Unavailable("The ingest keys can't be looked up now")
        if principal := self._keys.get(hashed):
            self.in_use[key] = principal
            return principal
        raise Unauthenticated("This ingest key is unknown, or revoked")

    def count(self, key: Principal, events: int) -> None:
        """Counts a key's events of today (UTC). Raises OverLimit beyond the daily quota."""
        name = key.name
        unwritten = self._unwritten.get(name, 0) + events
        if unwritten + self._today.get(name, 0) > self._daily_events:
            now = datetime.now(UTC)
            left = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
            raise OverLimit(f"At most {self._daily_events} events a day with one key", left)
        self._unwritten[name] = unwritten

    async def refresh(self) -> None:
        """Writes the keys' usage, and reads the keys if one has changed.

        Raises Unavailable, also when the keys are in use and can't be written to their file.
        """
        async with self._refreshing:
            with schema_errors_as_unavailable():
                await self._refresh()

    async def _refresh(self) -> None:
        self._refreshed_at = asyncio.get_running_loop().time()
        await self._write_usage()
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_SELECT_STATE)
            if tuple(row) == self._state:
                return
            keys = [CachedKey(**each) for each in await connection.fetch(_SELECT_KEYS)]
        self._use(keys)
        await asyncio.to_thread(self._save, keys)
        self._state = tuple(row)  # until it is saved, the next look-up tries again

    async def _refresh_if_due(self) -> None:
        if asyncio.get_running_loop().time() - self._refreshed_at < _MIN_INTERVAL:
            return
        with suppress(Unavailable):
            await self.refresh()

    async def _write_usage(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        try:
            async with self._database.transaction() as connection:
                columns = list(map(int, unwritten)), list(unwritten.values())
                if unwritten:
                    await connection.execute(_ADD_USAGE, *columns)
                rows = await connection.fetch(_SELECT_USAGE)
                self._today = {str(key_id): events for key_id, events in rows}
        except BaseException:  # of PostgreSQL, or that this was cancelled
            for name, events in unwritten.items():
                self._unwritten[name] = self._unwritten.get(name, 0) + events
            raise

    def _use(self, keys: list[CachedKey]) -> None:
        self._keys = {
            key.sha256: Principal("key", str(key.id), key.valid_to or float("inf"), key.class_id)
            for key in keys
        }
        self.in_use.clear()

    def _save(self, keys: list[CachedKey]) -> None:
        draft = self._path.with_suffix(".draft")
        try:
            draft.touch(0o600)
            draft.write_bytes(msgspec.json.encode(keys))
            draft.replace(self._path)
        except OSError as error:
            message = f"The ingest keys can't be kept for a start without PostgreSQL: {error}"
            raise Unavailable(message) from error

    async def _run(self) -> None:
        try:
            await self.refresh()
        finally:
            self._tried.set()


_SELECT_STATE = "SELECT count(*), COALESCE(sum(version), 0)::bigint FROM ingest_keys"

_SELECT_KEYS = """
    SELECT sha256, id, class_id, EXTRACT(EPOCH FROM valid_to)::double precision AS valid_to
    FROM ingest_keys WHERE valid_to IS NULL OR valid_to > now()
"""

_ADD_USAGE = """
    INSERT INTO ingest_usage AS u (key_id, day, events)
    SELECT key_id, (now() AT TIME ZONE 'UTC')::date, events
    FROM unnest($1::bigint[], $2::bigint[]) AS t (key_id, events)
    WHERE EXISTS (SELECT FROM ingest_keys WHERE id = key_id) ORDER BY key_id
    ON CONFLICT (key_id, day) DO UPDATE SET events = u.events + EXCLUDED.events
"""

_SELECT_USAGE = """
    SELECT key_id, events FROM ingest_usage WHERE day = (now() AT TIME ZONE 'UTC')::date
"""
