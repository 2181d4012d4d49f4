"""Logins: who has signed in at the provider, by a cookie; kept in PostgreSQL for all replicas."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitor.auth import audit
from monitor.auth.principal import Principal, person
from monitor.auth.providers import Grant, Identity, Provider
from monitor.database.pool import Connection, Database
from monitor.errors import Unauthenticated, Unavailable

HOURS = 12  # that a login lasts, whatever the provider grants
_OF_PERSON = 20  # logins at a time: the oldest end
_GRACE = timedelta(seconds=60)  # that a login stays valid while its provider doesn't answer
_LEASE = 20.0  # seconds after which another request, perhaps at another replica, may ask it
_PATIENCE = 5.0  # seconds to wait for that other request
_PAUSE = 0.1  # seconds


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
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            row, is_ours = await self._look(_digest(login))
            if is_ours:  # without a transaction, which would last as long as the provider takes
                row = await self._renew(login, row, payer) or row
            if not _is_late(row):
                break
            if is_ours or asyncio.get_running_loop().time() >= deadline:
                raise Unconfirmed("Whether the login is still valid can't be asked now")
            await asyncio.sleep(_PAUSE)  # another request is asking
        return person(
            row["role"],
            row["user_id"],
            row["expires_at"].timestamp(),
            issued_at=row["issued_at"].timestamp(),
        )

    async def _look(self, digest: bytes) -> tuple[Mapping[str, Any], bool]:
        """The login's row, and whether its provider is ours to ask. Raises like `principal`."""
        async with self._database.transaction() as connection:
            row = await self._row(connection, digest)
            is_due = row["due_at"] <= row["now"]
            return row, bool(is_due and await connection.fetchval(_CLAIM, digest, _LEASE))

    async def shown(self, login: str) -> Shown:
        """Raises Unauthenticated if the login has ended, and Unavailable."""
        async with self._database.transaction() as connection:
            row = await self._row(connection, _digest(login))
        return Shown(row["user_id"], row["name"], row["role"])

    async def _row(self, connection: Connection, digest: bytes) -> Mapping[str, Any]:
        row: Mapping[str, Any] | None = await connection.fetchrow(
            _SELECT, digest, self.provider.name
        )
        if row is None:
            raise _ended()
        return row

    async def end(self, login: str) -> Grant:
        """Ends a login, if it hasn't. Returns what its provider had granted. Raises Unavailable."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_DELETE, _digest(login))
            if row is None:
                return Grant()
            await _record(connection, person(row["role"], row["user_id"]), "sign out")
        return _open(login, row["tokens"])

    async def _renew(
        self, login: str, row: Mapping[str, Any], payer: str
    ) -> Mapping[str, Any] | None:
        """The row after the provider has confirmed it; None if it doesn't answer."""
        known = Identity(
            row["user_id"], row["role"], row["name"], _open(login, row["tokens"]), None
        )
        try:
            identity = await self.provider.renewed(known, payer)
        except Unauthenticated:
            await self.end(login)
            raise _ended() from None
        except Unavailable:
            return None
        if identity.user_id != known.user_id:
            await self.end(login)
            raise _ended()
        tokens = _seal(login, identity.grant)
        async with self._database.transaction() as connection:
            renewed: Mapping[str, Any] | None = await connection.fetchrow(
                _RENEW, _digest(login), identity.role, identity.name, tokens, identity.seconds
            )
        if renewed is None:  # somebody has signed out meanwhile
            raise _ended()
        return renewed


def _is_late(row: Mapping[str, Any]) -> bool:
    return bool(row["due_at"] <= row["now"] - _GRACE)


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

_RENEW = """
    UPDATE login_sessions
    SET role = $2, name = $3, tokens = $4, leased_until = now(),
        due_at = COALESCE(now() + make_interval(secs => $5::double precision), expires_at)
    WHERE sha256 = $1 AND expires_at > now() RETURNING *, now()
"""

_DELETE = "DELETE FROM login_sessions WHERE sha256 = $1 RETURNING user_id, role, tokens"
