"""Authentication: from a credential to a principal."""

import time
from collections import Counter, OrderedDict
from hashlib import sha256
from math import inf
from typing import NamedTuple

from monitor.auth.credentials import Credential
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.logins import Logins, Unconfirmed
from monitor.auth.principal import NOBODY, OPEN, Principal
from monitor.auth.revocations import Revocations
from monitor.auth.tokens import Tokens
from monitor.errors import OverLimit, Unauthenticated, Unavailable

RECHECK_INTERVAL = 20.0  # seconds between checks of a token, and of an open socket's channels
_GRACE = 60.0  # seconds
_MAX_CACHED = 10_000  # tokens
_OUTCOMES = ("accepted", "refused", "unavailable")
_NO_LOGINS = dict.fromkeys(
    (
        *((kind, each) for kind in ("token", "login") for each in _OUTCOMES),
        ("key", "refused"),
    ),
    0,
)


class Cached(NamedTuple):
    """Whose a token or a login is; it is verified again after `until` (seconds since 1970)."""

    principal: Principal
    until: float


class Authenticator:
    """Verifies credentials. Without `tokens`, `hub` and `logins` the server is open to everybody.

    A token or a login that was verified is trusted for RECHECK_INTERVAL, unless it is revoked, and
    where it can't be verified again, because the provider is slow or asked too much, for _GRACE
    longer; a login as long as `Logins` says. To verify it again is charged to its owner: many new
    ones at the same address don't prevent it.

    `outcomes` counts tokens and logins that were verified anew, and credentials that were refused,
    by their kind and outcome.
    """

    def __init__(
        self,
        keyring: Keyring,
        revocations: Revocations,
        tokens: Tokens | None,
        hub: JupyterHubClient | None,
        logins: Logins | None = None,
    ) -> None:
        self.keyring = keyring
        self._revocations = revocations
        self.is_open = tokens is None and hub is None and logins is None
        self.nobody = OPEN if self.is_open else NOBODY  # who sends no credential
        self._tokens = tokens
        self.hub = hub
        self.logins = logins
        self._cache: OrderedDict[bytes, Cached] = OrderedDict()
        self.outcomes: Counter[tuple[str, ...]] = Counter(_NO_LOGINS)

    def in_use(self, credential: Credential) -> Principal | None:
        """That of a valid key, if it was used lately: then there is nothing to wait for."""
        key = self.keyring.in_use.get(credential.text) if credential.kind == "key" else None
        return key if key and key.expires > time.time() else None

    async def principal(self, credential: Credential, payer: str) -> Principal:
        """The caller; `payer` is charged for a look-up at a provider.

        Raises Unauthenticated, and OverLimit or Unavailable if it can't be verified now.
        """
        try:
            if credential.kind == "key":
                principal = await self.keyring.principal(credential.text)
            elif self.is_open:
                return OPEN
            else:
                principal = await self._person(credential, payer)
        except Unauthenticated:
            self.outcomes[credential.kind, "refused"] += 1
            raise
        if principal.expires <= time.time():
            self.outcomes[credential.kind, "refused"] += 1
            raise Unauthenticated("This credential has expired")
        return principal

    def forget(self, credential: Credential) -> None:
        """Trusts a credential no longer for having been verified: it has ended."""
        self._cache.pop(_cache_key(credential), None)

    async def _person(self, credential: Credential, payer: str) -> Principal:
        hashed, now = _cache_key(credential), time.time()
        cached = self._cache.get(hashed)
        if cached is None or cached.until <= now:
            cached = self._cache[hashed] = await self._renewed(credential, payer, cached)
            self._cache.move_to_end(hashed)
            if len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        if cached.principal.issued_at != inf:
            self._revocations.check(cached.principal)
        return cached.principal

    async def _renewed(self, credential: Credential, payer: str, cached: Cached | None) -> Cached:
        try:
            principal = await self._verify(credential, cached.principal.key if cached else payer)
        except (Unavailable, OverLimit) as error:
            self.outcomes[credential.kind, "unavailable"] += 1
            if cached is None or isinstance(error, Unconfirmed):
                raise
            if time.time() >= cached.until + _GRACE:
                raise
            return cached
        except Unauthenticated:
            self.forget(credential)  # or an outage after this would make it valid again
            raise
        self.outcomes[credential.kind, "accepted"] += 1
        return Cached(principal, time.time() + RECHECK_INTERVAL)

    async def _verify(self, credential: Credential, payer: str) -> Principal:
        token = credential.text
        if credential.kind == "login":
            if self.logins is None:
                raise Unauthenticated("Nobody signs in at this server")
            return await self.logins.principal(token, payer)
        is_jwt = token.count(".") == 2
        if self._tokens and (is_jwt or not self.hub):
            return await self._tokens.principal(token)
        if self.hub and not (is_jwt and self._tokens):
            return await self.hub.principal(token, payer)
        raise Unauthenticated("Unsupported token type")


def _cache_key(credential: Credential) -> bytes:
    """With the kind: the text of a login is no token."""
    return sha256(f"{credential.kind} {credential.text}".encode()).digest()
