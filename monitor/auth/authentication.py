"""From a credential to a principal."""

import time
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

from monitor.auth.credentials import Credential
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.principal import NOBODY, OPEN, Principal
from monitor.auth.tokens import Tokens
from monitor.errors import Unauthenticated

_MAX_REMEMBERED = 10_000


class Seen(NamedTuple):
    """A token's principal, and until when it need not be asked for again (seconds since 1970)."""

    principal: Principal
    until: float


class Authenticator:
    """Knows the callers. Without `tokens` and `hub` the server is open, and everybody is one.

    A token isn't looked at again for `recheck` seconds.
    """

    def __init__(
        self, keyring: Keyring, tokens: Tokens | None, hub: JupyterHubClient | None, recheck: float
    ) -> None:
        self.keyring = keyring
        self.is_open = tokens is None and hub is None
        self.recheck = recheck
        self._tokens = tokens
        self._hub = hub
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()

    async def principal(self, credential: Credential | None) -> Principal:
        """Raises Unauthenticated, and Unavailable when it can't be said now."""
        if credential is None:
            return OPEN if self.is_open else NOBODY
        if credential.kind == "key":
            key = credential.text
            principal = self.keyring.in_use.get(key) or await self.keyring.principal(key)
        elif self.is_open:
            return OPEN
        else:
            principal = await self._person(credential.text)
        if principal.expires <= time.time():
            raise Unauthenticated("This credential has expired")
        return principal

    async def _person(self, token: str) -> Principal:
        hashed, now = sha256(token.encode()).digest(), time.time()
        seen = self._seen.get(hashed)
        if seen is None or seen.until <= now:
            seen = Seen(await self._ask(token), now + self.recheck)
            self._seen[hashed] = seen
            self._seen.move_to_end(hashed)
            if len(self._seen) > _MAX_REMEMBERED:
                self._seen.popitem(last=False)
        return seen.principal

    async def _ask(self, token: str) -> Principal:
        is_jwt = token.count(".") == 2
        if self._tokens and (is_jwt or not self._hub):
            return await self._tokens.principal(token)
        if self._hub and not (is_jwt and self._tokens):
            return await self._hub.principal(token)
        raise Unauthenticated("Unsupported token type")
