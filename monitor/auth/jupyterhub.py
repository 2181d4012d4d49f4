"""Users of a JupyterHub, by the tokens that it has given them."""

import asyncio
from dataclasses import dataclass, field

import aiohttp
import msgspec

from monitor.auth.principal import Principal, Role
from monitor.errors import Unauthenticated, Unavailable

_PATIENCE = 3.0  # seconds
_MAX_ASKING = 8  # at once: tokens that nobody knows are no flood at the JupyterHubClient


class User(msgspec.Struct):
    """What a JupyterHubClient says of who has a token."""

    name: str
    kind: str = "user"
    admin: bool = False
    groups: list[str] = []


@dataclass(frozen=True)
class JupyterHubClient:
    """`url` ends in `/hub/api`. Whoever is in the group `instructors` is one."""

    url: str
    instructors: str
    _asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_ASKING))

    async def principal(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable when the JupyterHubClient doesn't answer."""
        user = await self._ask(token)
        if user.kind != "user":
            raise Unauthenticated("The token is a service's, not a user's")
        return Principal(self._role(user), user.name)

    def _role(self, user: User) -> Role:
        if user.admin:
            return "admin"
        return "instructor" if self.instructors in user.groups else "student"

    async def _ask(self, token: str) -> User:
        headers = {"Authorization": f"token {token}"}
        try:
            async with (
                asyncio.timeout(_PATIENCE),  # for a turn, and for the answer
                self._asking,
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/user", headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status in (401, 403, 404):
                    raise Unauthenticated("JupyterHub doesn't know this token")
                if answer.status != 200:
                    raise Unavailable(f"JupyterHub answered {answer.status}")
                return msgspec.json.decode(await answer.read(), type=User)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            raise Unavailable("JupyterHub can't be asked who this is") from None
