"""Signs people in at a JupyterHub, of which this server is a service."""

import msgspec

from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.providers import (
    Attempt,
    Grant,
    Identity,
    ProviderKind,
    ask,
    asking,
    new_turns,
    with_query,
)
from monitor.errors import Unauthenticated, Unavailable

_SECONDS = 60.0  # after which the Hub is asked again


class Service(msgspec.Struct, frozen=True):
    """What a Hub gives its services; `public` begins the Hub's own pages, and ends in a slash."""

    name: str
    client_id: str
    api_token: str
    callback: str
    public: str


class _Answer(msgspec.Struct, frozen=True):
    access_token: str


class HubProvider:
    """See `Provider`. The Hub's access token is kept: while it is valid, so is the login."""

    kind: ProviderKind = "jupyterhub"

    def __init__(self, service: Service, hub: JupyterHubClient) -> None:
        self.name = hub.url
        self.turns = new_turns()
        self._service = service
        self._hub = hub

    def callback(self, home: str) -> str:
        """As the Hub has registered it: a path, unless services have a host of their own."""
        return self._service.callback

    async def address(self, attempt: Attempt, callback: str, payer: str) -> str:
        query = {
            "response_type": "code",
            "client_id": self._service.client_id,
            "redirect_uri": callback,
            "state": attempt.state,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return with_query(f"{self._service.public}api/oauth2/authorize", query)

    async def identity(self, code: str, attempt: Attempt, callback: str, payer: str) -> Identity:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback,
            "code_verifier": attempt.verifier,
            "client_id": self._service.client_id,
            "client_secret": self._service.api_token,
        }
        async with asking(self.turns, payer) as session:
            status, content = await ask(session, "POST", f"{self._hub.url}/oauth2/token", data=form)
        if status in (400, 401, 403):
            raise Unauthenticated(f"JupyterHub refuses the code: {status}")
        try:
            token = msgspec.convert(content, _Answer).access_token
        except msgspec.ValidationError:
            raise Unavailable(f"JupyterHub answers {status}") from None
        return await self._owner(token, payer)

    async def renewed(self, known: Identity, payer: str) -> Identity:
        return await self._owner(known.grant.renewal, payer)

    async def sign_out_url(self, grant: Grant, home: str, payer: str) -> str:
        return f"{self._service.public}logout"

    async def _owner(self, token: str, payer: str) -> Identity:
        user = await self._hub.user(token, payer)
        wanted = {"access:services", f"access:services!service={self._service.name}"}
        if user.kind != "user" or not wanted.intersection(user.scopes):
            raise Unauthenticated("JupyterHub lets this person use other services only")
        role = self._hub.role(user)
        return Identity(user.name, role, user.name, Grant(renewal=token), _SECONDS)
