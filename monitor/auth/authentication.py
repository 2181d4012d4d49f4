"""Authentication: from a credential to a principal."""

import time
from collections import Counter, OrderedDict
from hashlib import sha256
from math import inf
from typing import NamedTuple

from monitor.auth.credentials import Credential
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.principal import NOBODY, OPEN, Principal
from monitor.auth.revocations import Revocations
from monitor.auth.tokens import Tokens
from monitor.errors import OverLimit, Unauthenticated, Unavailable

RECHECK_INTERVAL = 20.0  # seconds between checks of a token, and of an open socket's channels
_GRACE = 60.0  # seconds
_MAX_CACHED = 10_000  # tokens
_NO_LOGINS = dict.fromkeys(
    (("token", "accepted"), ("token", "refused"), ("token", "unavailable"), ("key", "refused")), 0
)


class Cached(NamedTuple):
    """A token's principal, which is verified again after `until` (seconds since 1970)."""

    principal: Principal
    until: float


class Authenticator:
    """Verifies credentials. Without `tokens` and `hub` the server is open to everybody.

    A token that was verified is trusted for RECHECK_INTERVAL, unless it is revoked, and where it
    can't be verified again, because the provider is slow or asked too much, for _GRACE longer.
    To verify it again is charged to its owner: many new ones at the same address don't prevent it.

    `logins` counts tokens that were verified anew, and credentials that were refused, by their kind
    and outcome.
    """

    def __init__(
        self,
        keyring: Keyring,
        revocations: Revocations,
        tokens: Tokens | None,
        hub: JupyterHubClient | None,
    ) -> None:
        self.keyring = keyring
        self._revocations = revocations
        self.is_open = tokens is None and hub is None
        self._tokens = tokens
        self.hub = hub
        self._cache: OrderedDict[bytes, Cached] = OrderedDict()
        self.logins: Counter[tuple[str, ...]] = Counter(_NO_LOGINS)

    async def principal(self, credential: Credential | None, payer: str) -> Principal:
        """The caller; `payer` is charged for a look-up at a provider.

        Raises Unauthenticated, and OverLimit or Unavailable if it can't be verified now.
        """
        if credential is None:
            return OPEN if self.is_open else NOBODY
        try:
            if credential.kind == "key":
                key = credential.text
                principal = self.keyring.in_use.get(key) or await self.keyring.principal(key)
            elif self.is_open:
                return OPEN
            else:
                principal = await self._person(credential.text, payer)
        except Unauthenticated:
            self.logins[credential.kind, "refused"] += 1
            raise
        if principal.expires <= time.time():
            self.logins[credential.kind, "refused"] += 1
            raise Unauthenticated("This credential has expired")
        return principal

    async def _person(self, token: str, payer: str) -> Principal:
        hashed, now = sha256(token.encode()).digest(), time.time()
        cached = self._cache.get(hashed)
        if cached is None or cached.until <= now:
            cached = self._cache[hashed] = await self._renewed(token, payer, cached)
            self._cache.move_to_end(hashed)
            if len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        if cached.principal.issued_at != inf:
            self._revocations.check(cached.principal)
        return cached.principal

    async def _renewed(self, token: str, payer: str, cached: Cached | None) -> Cached:
        try:
            principal = await self._verify(token, cached.principal.key if cached else payer)
        except (Unavailable, OverLimit):
            self.logins["token", "unavailable"] += 1
            if cached is None or time.time() >= cached.until + _GRACE:
                raise
            return cached
        self.logins["token", "accepted"] += 1
        return Cached(principal, time.time() + RECHECK_INTERVAL)

    async def _verify(self, token: str, payer: str) -> Principal:
        is_jwt = token.count(".") == 2
        if self._tokens and (is_jwt or not self.hub):
            return await self._tokens.principal(token)
        if self.hub and not (is_jwt and self._tokens):
            return await self.hub.principal(token, payer)
        raise Unauthenticated("Unsupported token type")
