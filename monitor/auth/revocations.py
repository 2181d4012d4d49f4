"""Revoked tokens: all replicas refuse those (JWT) of a person that were issued before a time."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from monitor.auth.principal import Principal
from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Connection, Database
from monitor.database.resource import Resource
from monitor.errors import Unauthenticated, Unavailable
from monitor.events.event import Required
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 2.0  # seconds within which every replica knows of a change


class TokenRevocationCreate(msgspec.Struct):
    """Whose tokens are revoked: the person's `user_id`, as the tokens name them."""

    user_id: Required


class TokenRevocation(msgspec.Struct):
    """A person whose tokens that were issued before a time are refused."""

    id: int
    user_id: str
    issued_before: datetime
    revoked_by: str


TOKEN_REVOCATIONS = Resource(TokenRevocation, "token_revocations", "revocation")


async def revoke(connection: Connection, user_id: str, by: str) -> TokenRevocation:
    """Revokes all tokens of a person that were issued before now; `by` names who does it."""
    row_id = await connection.fetchval(_REVOKE, user_id, by)
    return await TOKEN_REVOCATIONS.get(connection, row_id)


class Revocations:
    """All revocations by `user_id`; every few seconds they are read again if they have changed.

    While PostgreSQL is unavailable the last ones hold: after a start, those in `path`.
    """

    name = "token_revocations"

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._issued_before: Mapping[str, float] | None = None  # seconds since 1970
        self._version: tuple[int, datetime | None] | None = None
        self._is_saved = False
        self._job = Job("Looking up revoked tokens", self._run, interval=_INTERVAL)
        self._tried = asyncio.Event()  # set after the first look-up, even a failed one

    async def start(self) -> None:
        """Returns once the revocations are known, or can't be looked up now."""
        with suppress(OSError, msgspec.MsgspecError):  # then PostgreSQL has to answer
            self._issued_before = msgspec.json.decode(
                self._path.read_bytes(), type=dict[str, float]
            )
        self._job.start()
        await self._tried.wait()

    async def stop(self, deadline: float) -> None:
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    def check(self, principal: Principal) -> None:
        """Raises Unauthenticated if the caller's token is revoked.

        Raises Unavailable before the first look-up.
        """
        if self._issued_before is None:
            raise Unavailable("Whether the token was revoked can't be looked up now")
        if principal.issued_at < self._issued_before.get(principal.name, float("-inf")):
            raise Unauthenticated("This token was revoked: sign in again")

    async def refresh(self) -> None:
        """Reads the revocations if they have changed. Raises Unavailable."""
        with schema_errors_as_unavailable():
            async with self._database.transaction(snapshot=True) as connection:
                if not await connection.fetchval(_SELECT_HAS_TABLE):
                    # Before the migration nobody's tokens were revoked.
                    self._issued_before = self._issued_before or {}
                    return
                row = await connection.fetchrow(_SELECT_VERSION)
                version = (row["count"], row["latest"])
                if version == self._version:
                    return
                rows = await connection.fetch(_SELECT)
        self._issued_before = {row["user_id"]: row["issued_before"] for row in rows}
        self._version, self._is_saved = version, False

    async def _run(self) -> None:
        try:
            await self.refresh()
            if not self._is_saved:
                await self._save()
        finally:
            self._tried.set()

    async def _save(self) -> None:
        """Raises Unavailable."""
        content = msgspec.json.encode(self._issued_before)
        try:
            await asyncio.to_thread(_write, self._path, content)
        except OSError as error:
            message = f"Revoked tokens can't be kept for a start without PostgreSQL: {error}"
            raise Unavailable(message) from error
        self._is_saved = True


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.touch(0o600)
    draft.write_bytes(content)
    draft.replace(path)


_REVOKE = """
    INSERT INTO token_revocations AS r (user_id, issued_before, revoked_by)
    VALUES ($1, clock_timestamp(), $2)
    ON CONFLICT (user_id) DO UPDATE SET
        issued_before = GREATEST(r.issued_before, EXCLUDED.issued_before),
        revoked_by = EXCLUDED.revoked_by
    RETURNING id
"""

_SELECT_HAS_TABLE = "SELECT to_regclass('token_revocations') IS NOT NULL"

_SELECT_VERSION = "SELECT count(*), max(issued_before) AS latest FROM token_revocations"

_SELECT = """
    SELECT user_id, EXTRACT(EPOCH FROM issued_before)::double precision AS issued_before
    FROM token_revocations
"""
