"""Users of a JupyterHub, identified by its tokens."""

import asyncio
from dataclasses import dataclass, field

import aiohttp
import msgspec

from monitor.auth.principal import Principal, Role, person
from monitor.errors import Unauthenticated, Unavailable
from monitor.shares import Turns

_TIMEOUT = 3.0  # seconds to wait for a turn and the answer
_MAX_REQUESTS = 8  # at a time, so that unknown tokens don't flood the Hub
_MAX_REQUESTS_OF_CALLER = 4  # at a time: the other callers' needn't wait for one caller's
_MAX_WAITING_OF_CALLER = 64  # or at work: a class may sign in at once, at one address


class OthersToken(Unauthenticated):
    """The token is not for acting as its owner; the message names them, and is in no log."""


class HubUser(msgspec.Struct):
    """The owner of a token, as the Hub's API describes them, and what the token may do."""

    name: str
    kind: str = "user"
    admin: bool = False
    groups: list[str] = []
    scopes: list[str] = []

    @property
    def holds_own_token(self) -> bool:
        """Whether the token reaches the person's own server.

        All tokens do that people make themselves, or that their server was started with. What the
        Hub issues to another service, or to somebody else's server that they visit, lets its holder
        know who they are, and is not for acting as them here.
        """
        own_server = f"access:servers!server={self.name}/"  # with the name of a named server
        return any(
            scope in ("access:servers", f"access:servers!user={self.name}")
            or scope.startswith(own_server)
            for scope in self.scopes
        )


@dataclass(frozen=True)
class JupyterHubClient:
    """Asks a Hub's API; `url` ends in `/hub/api`. Members of the group `instructors` teach."""

    url: str
    instructors: str
    turns: Turns = field(
        default_factory=lambda: Turns(
            "tokens to ask JupyterHub for",
            at_once=_MAX_REQUESTS,
            each=_MAX_WAITING_OF_CALLER,
            each_at_once=_MAX_REQUESTS_OF_CALLER,
        )
    )

    async def principal(self, token: str, payer: str) -> Principal:
        """The token's owner; `payer` is charged for the look-up.

        Raises Unauthenticated, Unavailable if the Hub doesn't answer, and OverLimit.
        """
        user = await self.user(token, payer)
        if user.kind != "user":
            raise Unauthenticated("The token is a service's, not a user's")
        if not user.holds_own_token:
            raise OthersToken(
                "The token is another service's: make one of your own at JupyterHub (Token), which"
                f" may reach your server (access:servers!user={user.name})"
            )
        return person(self.role(user), user.name)

    def role(self, user: HubUser) -> Role:
        """What somebody is here, by what they are at the Hub."""
        if user.admin:
            return "admin"
        return "instructor" if self.instructors in user.groups else "student"

    async def user(self, token: str, payer: str) -> HubUser:
        """Whom the Hub knows by a token, whatever that may do. Raises like `principal`."""
        headers = {"Authorization": f"token {token}"}
        try:
            async with (
                asyncio.timeout(_TIMEOUT),
                self.turns.turn(payer),
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/user", headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status in (401, 403, 404):
                    raise Unauthenticated("JupyterHub doesn't know this token")
                if answer.status != 200:
                    raise Unavailable(f"JupyterHub answered {answer.status}")
                return msgspec.json.decode(await answer.read(), type=HubUser)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            raise Unavailable("JupyterHub can't be reached to verify the token") from None
