"""Verifies people's JSON Web Tokens: HS256 by a secret, RS256 and ES256 by a provider's keys."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from monitor.auth.principal import Principal, Role, person
from monitor.errors import Unauthenticated, Unavailable

_REQUIRED = ["exp", "sub", "iss", "aud"]
_FETCH_TIMEOUT = 3.0  # seconds
_COOLDOWN = 10.0  # seconds after which an unknown key id leads to another fetch
_LEEWAY = 60.0  # seconds by which the clocks of issuer and server may differ
_BACK_OFF = 5.0  # seconds without requests to a provider that could not be reached
_STRONGEST_FIRST: tuple[Role, ...] = ("admin", "instructor", "student")


@dataclass(frozen=True)
class Trust:
    """Which tokens are accepted, and which claims have the caller's name and role."""

    secret: str
    jwks_url: str
    issuer: str
    audience: str
    user_claim: str = "sub"
    role_claim: str = "role"


class Tokens:
    """Verifies tokens. Each algorithm has its own kind of key: no algorithm confusion."""

    def __init__(self, trust: Trust) -> None:
        import jwt  # slow to import, and an open server needs none of it

        self._jwt = jwt
        self._trust = trust
        self._published = (
            jwt.PyJWKClient(trust.jwks_url, timeout=_FETCH_TIMEOUT, cooldown_duration=_COOLDOWN)
            if trust.jwks_url
            else None
        )
        self._fetching = asyncio.Lock()  # a provider that hangs takes one thread, not all
        self._back_off_until = 0.0

    async def principal(self, token: str) -> Principal:
        """The caller. Raises Unauthenticated, and Unavailable if keys can't be fetched."""
        return principal_of(await self.claims(token), self._trust)

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What a valid token says. Raises Unauthenticated, and Unavailable like `principal`."""
        try:
            return await self._claims(token)
        except self._jwt.PyJWKClientConnectionError:
            raise Unavailable("The keys of the identity provider can't be fetched") from None
        except self._jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired") from None
        except self._jwt.ImmatureSignatureError:
            raise Unauthenticated(
                "The token is not valid yet: set the clocks of this server and of its issuer right"
            ) from None
        except (self._jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated("The token is not valid for this server") from None

    async def _claims(self, token: str) -> Mapping[str, Any]:
        algorithm = self._jwt.get_unverified_header(token).get("alg")
        if algorithm == "HS256" and self._trust.secret:
            return self._decode(token, self._trust.secret, ["HS256"])
        if algorithm in ("RS256", "ES256") and self._published:
            key = await self._fetch(self._published.get_signing_key_from_jwt, token)
            return self._decode(token, key.key, [algorithm])
        raise self._jwt.InvalidAlgorithmError(algorithm)

    async def _fetch(self, find: Callable[[str], Any], token: str) -> Any:
        async with self._fetching:
            if time.monotonic() < self._back_off_until:
                raise self._jwt.PyJWKClientConnectionError
            try:
                return await run_in_threadpool(find, token)
            except self._jwt.PyJWKClientConnectionError:
                self._back_off_until = time.monotonic() + _BACK_OFF
                raise

    def _decode(self, token: str, key: Any, algorithms: list[str]) -> Mapping[str, Any]:
        claims: Mapping[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=self._trust.audience,
            issuer=self._trust.issuer,
            leeway=_LEEWAY,
            options={"require": _REQUIRED},
        )
        return claims


def mint(
    trust: Trust, name: str, role: Role, seconds: float, *, issued_at: int | None = None
) -> str:
    """A token signed with the secret, valid for that many seconds.

    `issued_at`, in seconds since 1970, is now unless given: the same arguments make the same token.
    """
    import jwt

    now = int(time.time()) if issued_at is None else issued_at
    claims = {
        "iss": trust.issuer,
        "aud": trust.audience,
        "sub": name,
        "iat": now,
        "exp": now + int(seconds),
        trust.user_claim: name,
        trust.role_claim: role,
    }
    if trust.user_claim == "email":
        claims["email_verified"] = True  # who has the secret vouches for it
    return jwt.encode(claims, trust.secret, "HS256")


class NoRole(Unauthenticated):
    """Somebody is known at the provider, and not as anybody who has a role here."""


def principal_of(claims: Mapping[str, Any], trust: Trust) -> Principal:
    """Who a valid token names. Raises NoRole, or Unauthenticated.

    At some providers anybody may enter somebody else's address: an `email` names its person only
    where it is verified.
    """
    if trust.user_claim == "email" and claims.get("email_verified") not in (True, "true"):
        raise Unauthenticated("The token doesn't say that its email is verified")
    name = claims.get(trust.user_claim)
    if not isinstance(name, str) or not 0 < len(name) <= 512 or "\0" in name:
        raise NoRole(f"The token's claim {trust.user_claim!r} has no user name")
    roles = claims.get(trust.role_claim, "student")
    roles = roles if isinstance(roles, list) else [roles]
    role = next((role for role in _STRONGEST_FIRST if role in roles), None)
    if role is None:
        raise NoRole(f"The token's claim {trust.role_claim!r} has no known role")
    try:
        issued_at, expires = float(claims.get("iat", "-inf")), float(claims["exp"]) + _LEEWAY
    except (ValueError, TypeError, OverflowError):
        raise Unauthenticated("The token's times are no numbers") from None
    return person(role, name, expires, issued_at=issued_at)
