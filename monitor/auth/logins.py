"""Logins: who has signed in at the provider, by a cookie; kept in PostgreSQL for all replicas."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitor.auth import audit
from monitor.auth.principal import Principal, person
from monitor.auth.providers import Grant, Identity, Provider
from monitor.database.pool import Connection, Database
from monitor.errors import OverLimit, Unauthenticated, Unavailable

HOURS = 12  # that a login lasts, whatever the provider grants
_OF_PERSON = 20  # logins at a time: the oldest end
_GRACE = timedelta(seconds=60)  # that a login stays valid while its provider doesn't answer
_LEASE = 20.0  # seconds after which another replica may ask it; longer than an answer takes
_REST = 2.0  # seconds in which nobody asks a provider again that could not be asked
_PATIENCE = 5.0  # seconds to wait for another replica's answer
_PAUSE = 0.1  # seconds between two looks whether it has come, at first

_Row = Mapping[str, Any]  # of `login_sessions`, with the time when it was read


class Unconfirmed(Unavailable):
    """The provider has not confirmed a login for longer than it stays valid without."""


class Shown(msgspec.Struct, frozen=True):
    """Who is signed in, for the page."""

    user_id: str
    name: str
    role: str


class Logins:
    """Begins, checks and ends logins. Their ids are 256 random bits, which only cookies have."""

    def __init__(self, database: Database, provider: Provider) -> None:
        self.provider = provider
        self._database = database
        self._asking: dict[bytes, asyncio.Task[_Row]] = {}  # about due logins, by their digests

    async def begin(self, identity: Identity) -> str:
        """The id of a new login. Raises Unavailable."""
        login = secrets.token_urlsafe(32)
        tokens = _seal(login, identity.grant)
        async with self._database.transaction() as connection:
            await connection.execute(
                _INSERT,
                _digest(login),
                self.provider.name,
                identity.user_id,
                identity.role,
                identity.name,
                tokens,
                HOURS,
                identity.seconds,
            )
            await connection.execute(_END_OLDEST, identity.user_id, _OF_PERSON)
            await _record(connection, person(identity.role, identity.user_id), "sign in")
        return login

    async def principal(self, login: str, payer: str) -> Principal:
        """Who has signed in; the provider is asked again when that is due, charged to `payer`.

        Raises Unauthenticated if the login has ended, also because the provider says so, and
        Unavailable and OverLimit; Unconfirmed if the provider has been away for too long.
        """
        row = await self._look(login)
        if row["due_at"] <= row["now"]:
            row = await self._confirmed(login, row, payer)
        if _is_late(row):
            raise Unconfirmed("Whether the login is still valid can't be asked now")
        return person(
            row["role"],
            row["user_id"],
            row["expires_at"].timestamp(),
            issued_at=row["issued_at"].timestamp(),
        )

    async def _confirmed(self, login: str, row: _Row, payer: str) -> _Row:
        """The row of a login that is due, after its provider was asked, if that is worth waiting.

        Raises like `principal`.
        """
        digest = _digest(login)
        asking = self._asking.get(digest)
        is_asked = asking is not None or row["leased_until"] > row["now"]
        if _has_failed(row) or (is_asked and not _is_late(row)):
            return row
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(login, row, payer))
            asking.add_done_callback(partial(self._note_asked, digest))
        return await asyncio.shield(asking)  # it is for the others, too, when this one has left

    def _note_asked(self, digest: bytes, asking: asyncio.Task[_Row]) -> None:
        del self._asking[digest]
        if not asking.cancelled():
            asking.exception()  # perhaps nobody waits for it any more

    async def _ask(self, login: str, row: _Row, payer: str) -> _Row:
        """The row after this replica or another one has asked the provider, or has given up."""
        digest = _digest(login)
        if not await self._lease(_CLAIM, digest, _LEASE):
            return await self._wait_for_other(login) if _is_late(row) else row
        renewed = await self._renew(login, row, payer)
        if renewed is None:
            await self._lease(_GIVE_UP, digest, _REST)
        return renewed or row

    async def _wait_for_other(self, login: str) -> _Row:
        """The row once another replica has asked the provider, or has failed."""
        deadline, pause = asyncio.get_running_loop().time() + _PATIENCE, _PAUSE
        while True:
            row = await self._look(login)
            is_over = asyncio.get_running_loop().time() >= deadline
            if is_over or not _is_late(row) or _has_failed(row):
                return row
            await asyncio.sleep(pause)
            pause *= 2

    async def _lease(self, query: str, digest: bytes, seconds: float) -> bool:
        async with self._database.transaction() as connection:
            return bool(await connection.fetchval(query, digest, seconds))

    async def _look(self, login: str) -> _Row:
        """The login's row. Raises Unauthenticated if it has ended, and Unavailable."""
        async with self._database.transaction() as connection:
            row: _Row | None = await connection.fetchrow(
                _SELECT, _digest(login), self.provider.name
            )
        if row is None:
            raise _ended()
        return row

    async def shown(self, login: str) -> Shown:
        """Raises Unauthenticated if the login has ended, and Unavailable."""
        row = await self._look(login)
        return Shown(row["user_id"], row["name"], row["role"])

    async def end(self, login: str) -> Grant:
        """Ends a login, if it hasn't. Returns what its provider had granted. Raises Unavailable."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_DELETE, _digest(login))
            if row is None:
                return Grant()
            await _record(connection, person(row["role"], row["user_id"]), "sign out")
        return _open(login, row["tokens"])

    async def _renew(self, login: str, row: _Row, payer: str) -> _Row | None:
        """The row after the provider has confirmed it; None if it can't be asked now."""
        known = Identity(
            row["user_id"], row["role"], row["name"], _open(login, row["tokens"]), None
        )
        try:
            identity = await self.provider.renewed(known, payer)
        except Unauthenticated:
            await self.end(login)
            raise _ended() from None
        except (Unavailable, OverLimit):
            return None
        if identity.user_id != known.user_id:
            await self.end(login)
            raise _ended()
        tokens = _seal(login, identity.grant)
        async with self._database.transaction() as connection:
            renewed: _Row | None = await connection.fetchrow(
                _RENEW, _digest(login), identity.role, identity.name, tokens, identity.seconds
            )
        if renewed is None:  # somebody has signed out meanwhile
            raise _ended()
        return renewed


def _is_late(row: _Row) -> bool:
    return bool(row["due_at"] <= row["now"] - _GRACE)


def _has_failed(row: _Row) -> bool:
    """Whether its provider could not be asked a moment ago: a lease is longer than that rest."""
    left = row["leased_until"] - row["now"]
    return bool(timedelta(0) < left <= timedelta(seconds=_REST))


async def expire(connection: Connection) -> None:
    """Deletes logins that have ended by themselves."""
    await connection.execute("DELETE FROM login_sessions WHERE expires_at < now()")


async def _record(connection: Connection, who: Principal, operation: str) -> None:
    """Students' changes are in no audit log."""
    if who.role != "student":
        await audit.record(connection, who, operation=operation, detail={})


def _ended() -> Unauthenticated:
    return Unauthenticated("Your login has ended: sign in again")


def _digest(login: str) -> bytes:
    """What is stored of an id. It is random, so a fast hash is as safe as a slow one."""
    return hashlib.sha256(login.encode()).digest()


def _seal(login: str, grant: Grant) -> bytes:
    """Encrypts tokens with the id: a reader of the database, who has no cookie, can't use them."""
    return _fernet(login).encrypt(msgspec.json.encode(grant))


def _open(login: str, tokens: bytes) -> Grant:
    """Raises Unauthenticated if they are no tokens of this login."""
    try:
        return msgspec.json.decode(_fernet(login).decrypt(tokens), type=Grant)
    except (InvalidToken, msgspec.MsgspecError):
        raise _ended() from None


def _fernet(login: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"tokens of a login")
    return Fernet(base64.urlsafe_b64encode(derived.derive(login.encode())))


_INSERT = """
    INSERT INTO login_sessions
        (sha256, provider, user_id, role, name, tokens, expires_at, due_at)
    VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(hours => $7),
        now() + COALESCE(make_interval(secs => $8::double precision), make_interval(hours => $7)))
"""

_END_OLDEST = """
    DELETE FROM login_sessions WHERE sha256 IN (
        SELECT sha256 FROM login_sessions WHERE user_id = $1 ORDER BY issued_at DESC OFFSET $2
    )
"""

_SELECT = """
    SELECT *, now() FROM login_sessions WHERE sha256 = $1 AND provider = $2 AND expires_at > now()
"""

_CLAIM = """
    UPDATE login_sessions SET leased_until = now() + make_interval(secs => $2)
    WHERE sha256 = $1 AND due_at <= now() AND leased_until <= now() RETURNING true
"""

_GIVE_UP = """
    UPDATE login_sessions SET leased_until = now() + make_interval(secs => $2)
    WHERE sha256 = $1 AND due_at <= now() RETURNING true
"""

_RENEW = """
    UPDATE login_sessions
    SET role = $2, name = $3, tokens = $4, leased_until = now(),
        due_at = LEAST(now() + make_interval(secs => $5::double precision), expires_at)
    WHERE sha256 = $1 AND expires_at > now() RETURNING *, leased_until AS now
"""

_DELETE = "DELETE FROM login_sessions WHERE sha256 = $1 RETURNING user_id, role, tokens"
