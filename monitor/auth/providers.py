"""Where people sign in: what an OpenID Connect provider and a JupyterHub have in common."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec

from monitor.auth.principal import Role
from monitor.errors import Unavailable
from monitor.shares import Turns

ProviderKind = Literal["oidc", "jupyterhub"]

_TIMEOUT = 8.0  # seconds for a turn, and all that a sign-in asks the provider
_AT_ONCE = 8
_OF_CALLER = 4  # at once: the others needn't wait for one address
_WAITING_OF_CALLER = 64  # or at work: a class may sign in at once, at one address


class Attempt(msgspec.Struct, frozen=True):
    """A sign-in that has begun, as the browser keeps it meanwhile.

    `state` binds the answer to this browser, `nonce` the ID token to this attempt, and `verifier`
    the code to whoever asked for it (PKCE). `next` is the part of the page to come back to.
    """

    state: str
    nonce: str
    verifier: str
    next: str

    @property
    def challenge(self) -> str:
        """PKCE's, of the method S256."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_attempt(next_: str) -> Attempt:
    """With 256 random bits in each part."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(state=state, nonce=nonce, verifier=verifier, next=next_)


class Grant(msgspec.Struct, frozen=True):
    """The provider's tokens: `renewal` to ask it again, `id_token` to sign out there; or empty."""

    renewal: str = ""
    id_token: str = ""


class Identity(msgspec.Struct, frozen=True):
    """Who has signed in, as the provider says; `name` is to be shown.

    After `seconds` the provider has to be asked again; None: it can't be.
    """

    user_id: str
    role: Role
    name: str
    grant: Grant
    seconds: float | None


class Provider(Protocol):
    """Where people sign in. `name` is stored with their sessions, `kind` is for the page.

    All coroutines raise Unavailable if it doesn't answer. `payer` is charged for what is asked:
    they raise OverLimit, too.
    """

    kind: ProviderKind
    name: str
    turns: Turns

    def callback(self, home: str) -> str:
        """The URL that the provider leads back to; `home` is the server's, without a slash."""

    async def address(self, attempt: Attempt, callback: str, payer: str) -> str:
        """The URL at which the person signs in."""

    async def identity(self, code: str, attempt: Attempt, callback: str, payer: str) -> Identity:
        """Exchanges the code. Raises Unauthenticated, or NoRole."""

    async def renewed(self, known: Identity, payer: str) -> Identity:
        """Asks again, with what was granted. Raises Unauthenticated if that has ended."""

    async def sign_out_url(self, grant: Grant, home: str, payer: str) -> str:
        """The URL at which the person signs out there, or `home`."""


def new_turns() -> Turns:
    """Bounds what a provider is asked at a time."""
    return Turns("sign-ins", at_once=_AT_ONCE, each=_WAITING_OF_CALLER, each_at_once=_OF_CALLER)


@asynccontextmanager
async def asking(turns: Turns, payer: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to a provider, in the payer's turn. Raises OverLimit, and Unavailable in time."""
    try:
        async with asyncio.timeout(_TIMEOUT), turns.turn(payer), aiohttp.ClientSession() as session:
            yield session
    except TimeoutError:
        raise Unavailable("The sign-in's provider doesn't answer in time") from None


async def ask(
    session: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> tuple[int, Any]:
    """The status and the JSON of an answer; None for what is no JSON. Raises Unavailable."""
    try:
        async with session.request(method, url, allow_redirects=False, **options) as answer:
            return answer.status, _decoded(await answer.read())
    except (aiohttp.ClientError, ValueError):
        raise Unavailable("The sign-in's provider can't be reached") from None


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The URL with these values added to its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
