"""People's JSON Web Tokens: HS256 by a secret, RS256 and ES256 by a provider's published keys."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from monitor.auth.principal import Principal, Role
from monitor.errors import Unauthenticated, Unavailable

_REQUIRED = ["exp", "sub", "iss", "aud"]
_FETCH_TIMEOUT = 3.0  # seconds
_COOLDOWN = 10.0  # seconds until an unknown key id makes it fetch the keys again
_REST = 5.0  # seconds after a provider could not be reached, in which it isn't asked
_STRONGEST_FIRST: tuple[Role, ...] = ("admin", "instructor", "student")


@dataclass(frozen=True)
class Trust:
    """Which tokens are believed, and which of their claims say who and what somebody is."""

    secret: str
    jwks_url: str
    issuer: str
    audience: str
    user_claim: str = "sub"
    role_claim: str = "role"


class Tokens:
    """Verifies tokens. An algorithm has its own kind of key, so none can stand in for another."""

    def __init__(self, trust: Trust) -> None:
        import jwt  # with all its cryptography: not for a server that is open

        self._jwt = jwt
        self._trust = trust
        self._published = (
            jwt.PyJWKClient(trust.jwks_url, timeout=_FETCH_TIMEOUT, cooldown_duration=_COOLDOWN)
            if trust.jwks_url
            else None
        )
        self._looking = asyncio.Lock()  # a provider that hangs takes one thread, not all
        self._rests_until = 0.0

    async def principal(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable when the provider's keys can't be had."""
        try:
            return _principal(await self._claims(token), self._trust)
        except self._jwt.PyJWKClientConnectionError:
            raise Unavailable("The keys of the identity provider can't be fetched") from None
        except self._jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired") from None
        except (self._jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated("The token is not valid here") from None

    async def _claims(self, token: str) -> Mapping[str, Any]:
        algorithm = self._jwt.get_unverified_header(token).get("alg")
        if algorithm == "HS256" and self._trust.secret:
            return self._decode(token, self._trust.secret, ["HS256"])
        if algorithm in ("RS256", "ES256") and self._published:
            key = await self._look(self._published.get_signing_key_from_jwt, token)
            return self._decode(token, key.key, [algorithm])
        raise self._jwt.InvalidAlgorithmError(algorithm)

    async def _look(self, find: Callable[[str], Any], token: str) -> Any:
        async with self._looking:
            if time.monotonic() < self._rests_until:
                raise self._jwt.PyJWKClientConnectionError
            try:
                return await run_in_threadpool(find, token)
            except self._jwt.PyJWKClientConnectionError:
                self._rests_until = time.monotonic() + _REST
                raise

    def _decode(self, token: str, key: Any, algorithms: list[str]) -> Mapping[str, Any]:
        claims: Mapping[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=self._trust.audience,
            issuer=self._trust.issuer,
            options={"require": _REQUIRED},
        )
        return claims


def mint(trust: Trust, name: str, role: Role, seconds: float) -> str:
    """A token signed with the secret."""
    import jwt

    now = int(time.time())
    claims = {
        "iss": trust.issuer,
        "aud": trust.audience,
        "sub": name,
        "iat": now,
        "exp": now + int(seconds),
        trust.user_claim: name,
        trust.role_claim: role,
    }
    return jwt.encode(claims, trust.secret, "HS256")


def _principal(claims: Mapping[str, Any], trust: Trust) -> Principal:
    name = claims.get(trust.user_claim)
    if not isinstance(name, str) or not 0 < len(name) <= 512 or "\0" in name:
        raise Unauthenticated(f"The token's claim {trust.user_claim!r} names nobody")
    said = claims.get(trust.role_claim, "student")
    said = said if isinstance(said, list) else [said]
    role = next((role for role in _STRONGEST_FIRST if role in said), None)
    if role is None:
        raise Unauthenticated(f"The token's claim {trust.role_claim!r} names no role")
    return Principal(role, name, float(claims["exp"]))
