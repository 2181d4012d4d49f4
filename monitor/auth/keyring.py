"""The valid ingest keys and students' tokens in memory, so that no request waits for PostgreSQL."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from monitor.auth.keys import digest
from monitor.auth.principal import Principal
from monitor.auth.usage import Usage
from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.errors import Unauthenticated, Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 2.0  # seconds within which every replica knows of a change
_MIN_INTERVAL = 0.5  # seconds between two look-ups for unknown keys
_RELOAD_INTERVAL = 0.25  # seconds between two look-ups for changes made here
_NONE_READ = -1  # less than any version


class SavedCredential(msgspec.Struct, array_like=True):
    """A key or a token in the file. It has no `expires`, in seconds since 1970, if it doesn't."""

    sha256: bytes
    name: str
    expires: float | None
    class_id: int | None
    student: str | None
    confirmed: bool
    other_ids: tuple[str, ...] = ()


class Keyring:
    """All valid keys and tokens by their hashes; every few seconds what has changed is read.

    `in_use` has those of recent requests in clear text, so that no request waits for a hash.
    While PostgreSQL is unavailable the last ones stay valid: after a start, those in `path`.
    """

    name = "ingest_keys"

    def __init__(self, database: Database, path: Path, daily_events: int) -> None:
        self._database = database
        self._path = path
        self.usage = Usage(database, daily_events)
        self._principals: dict[bytes, Principal] | None = None
        self.in_use: dict[str, Principal] = {}
        self._version = _NONE_READ
        self._is_saved = False
        self._refreshed_at = -1e9
        self._refreshing = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None  # a look-up that has not begun
        self._job = Job("Looking up ingest keys", self._run, interval=_INTERVAL)
        self._tried = asyncio.Event()  # set after the first look-up, even a failed one

    async def start(self) -> None:
        """Returns once the keys are known, or can't be looked up now."""
        with suppress(OSError, msgspec.MsgspecError):  # then PostgreSQL has to answer
            self._principals = _load(self._path)
        self._job.start()
        await self._tried.wait()

    async def stop(self, deadline: float) -> None:
        """Writes what has not been written yet of the keys' usage."""
        await self._job.stop()
        if self._next is not None:
            self._next.cancel()
        with suppress(Unavailable):
            await self.refresh()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def principal(self, key: str) -> Principal:
        """Of a key or a token. Raises Unauthenticated, and Unavailable before the first look-up."""
        hashed = digest(key)
        if self._principals is None or hashed not in self._principals:
            await self._refresh_if_due()
        if self._principals is None:
            raise Unavailable("The ingest keys can't be looked up now")
        if principal := self._principals.get(hashed):
            self.in_use[key] = principal
            return principal
        raise Unauthenticated("This ingest key is unknown, or revoked")

    async def reload(self) -> None:
        """Reads what was committed before, with one look-up for all who ask meanwhile.

        Who changes keys in a loop waits, and costs the others no look-up each. Raises Unavailable.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._reload())
        await asyncio.shield(self._next)

    async def _reload(self) -> None:
        wait = self._refreshed_at + _RELOAD_INTERVAL - asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(wait)
        finally:
            self._next = None  # who asks from now on may have changed something later
        await self.refresh()

    async def refresh(self) -> None:
        """Writes the usage, and reads the keys and tokens that have changed. Raises Unavailable."""
        async with self._refreshing:
            self._refreshed_at = asyncio.get_running_loop().time()
            try:
                with schema_errors_as_unavailable():
                    await self.usage.write()
                    await self._read_changed()
            except BaseException:  # the next answer may be that of a restored database: read all
                self._version = _NONE_READ
                raise

    async def _refresh_if_due(self) -> None:
        if asyncio.get_running_loop().time() - self._refreshed_at < _MIN_INTERVAL:
            return
        with suppress(Unavailable):
            await self.refresh()

    async def _read_changed(self) -> None:
        async with self._database.transaction() as connection:
            version = await connection.fetchval("SELECT credential_version()")
            if version == self._version:
                return
            is_later = self._version != _NONE_READ and version > self._version
            since = self._version if is_later else _NONE_READ
            rows = await connection.fetch(_SELECT_CHANGED, since)
        known = self._principals if is_later else None
        self._principals = _changed(known or {}, rows)
        self.in_use.clear()
        self._version, self._is_saved = version, False

    async def _save(self) -> None:
        """Raises Unavailable."""
        self._is_saved = True
        try:
            await asyncio.to_thread(_save, self._path, dict(self._principals or {}))
        except OSError as error:
            self._is_saved = False
            message = f"The ingest keys can't be kept for a start without PostgreSQL: {error}"
            raise Unavailable(message) from error

    async def _run(self) -> None:
        try:
            await self.refresh()
            if not self._is_saved:
                await self._save()
        finally:
            self._tried.set()


def _changed(
    known: dict[bytes, Principal], rows: Iterable[Mapping[str, Any]]
) -> dict[bytes, Principal]:
    """The same object after these changes."""
    now = time.time()
    for row in rows:
        fields = dict(row)
        sha256 = fields.pop("sha256")
        if fields["expires"] > now:
            other_ids = tuple(fields.pop("other_ids"))
            known[sha256] = Principal("key", **fields, other_ids=other_ids)
        else:
            known.pop(sha256, None)
    return known


def _load(path: Path) -> dict[bytes, Principal]:
    saved = msgspec.json.decode(path.read_bytes(), type=list[SavedCredential])
    return {
        each.sha256: Principal(
            role="key",
            name=each.name,
            expires=float("inf") if each.expires is None else each.expires,
            class_id=each.class_id,
            student=each.student,
            confirmed=each.confirmed,
            other_ids=each.other_ids,
        )
        for each in saved
    }


def _save(path: Path, principals: Mapping[bytes, Principal]) -> None:
    content = msgspec.json.encode(
        [
            SavedCredential(
                sha256=sha256,
                name=each.name,
                expires=each.expires,  # JSON has null for infinity
                class_id=each.class_id,
                student=each.student,
                confirmed=each.confirmed,
                other_ids=each.other_ids,
            )
            for sha256, each in principals.items()
        ]
    )
    draft = path.with_suffix(".draft")
    draft.touch(0o600)
    draft.write_bytes(content)
    draft.replace(path)


_SELECT_CHANGED = """
    SELECT sha256, name, class_id, student, confirmed, other_ids,
        COALESCE(EXTRACT(EPOCH FROM valid_to)::double precision, 'infinity') AS expires
    FROM (
        SELECT sha256, 'key ' || id AS name, class_id, NULL AS student, true AS confirmed,
            '{}'::text[] AS other_ids, valid_to, version
        FROM ingest_keys
        UNION ALL
        SELECT sha256, 'token ' || t.id, class_id, user_id, NOT claimed,
            ARRAY(SELECT user_id FROM students WHERE merged_into = s.id), valid_to, t.version
        FROM student_tokens AS t JOIN students AS s ON s.id = t.student_id
        UNION ALL
        SELECT sha256, '', NULL, NULL, true, '{}', 'epoch', version FROM deleted_credentials
    ) AS c
    WHERE version > $1 AND ($1 >= 0 OR valid_to IS NULL OR valid_to > now())
"""
