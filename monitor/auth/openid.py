"""Signs people in at an OpenID Connect provider: the code flow, with PKCE and a nonce."""

import hmac
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import msgspec

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
from monitor.auth.tokens import Tokens, Trust, principal_of
from monitor.errors import Unauthenticated, Unavailable

logger = logging.getLogger(__name__)

_CALLBACK = "/login/callback"
_DISCOVERED_FOR = 3600.0  # seconds
_MIN_SECONDS, _MAX_SECONDS = 20.0, 3600.0  # between two renewals
_MAX_NAME = 200  # characters


class Client(msgspec.Struct, frozen=True):
    """This server as the provider knows it. Without a secret it is a public client."""

    issuer: str
    id: str
    secret: str
    scopes: str


class _Published(msgspec.Struct, frozen=True):
    """What the provider says about itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Answer(msgspec.Struct, frozen=True):
    """An answer of its token endpoint. What is null, or missing, is not granted."""

    id_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None


class _Known(msgspec.Struct, frozen=True):
    """What has been found out, until that time of `time.monotonic()`."""

    published: _Published
    trust: Trust
    tokens: Tokens
    until: float


class OpenIdProvider:
    """See `Provider`. The two claims of the ID token have the person's `user_id` and role."""

    kind: ProviderKind = "oidc"

    def __init__(self, client: Client, user_claim: str, role_claim: str) -> None:
        self.name = client.issuer
        self.turns = new_turns()
        self._client = client
        self._user_claim = user_claim
        self._role_claim = role_claim
        self._known: _Known | None = None

    def callback(self, home: str) -> str:
        return home + _CALLBACK

    async def address(self, attempt: Attempt, callback: str, payer: str) -> str:
        async with asking(self.turns, payer) as session:
            published = (await self._find(session)).published
        query = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": callback,
            "scope": self._client.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return with_query(published.authorization_endpoint, query)

    async def identity(self, code: str, attempt: Attempt, callback: str, payer: str) -> Identity:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback,
            "code_verifier": attempt.verifier,
        }
        async with asking(self.turns, payer) as session:
            known = await self._find(session)
            answer = await self._exchange(session, known.published, form)
            claims = await self._claims(known, answer)
        if not hmac.compare_digest(_text(claims, "nonce").encode(), attempt.nonce.encode()):
            raise Unauthenticated("The ID token is of another sign-in")
        return self._identity(claims, known.trust, answer, Grant())

    async def renewed(self, known: Identity, payer: str) -> Identity:
        form = {"grant_type": "refresh_token", "refresh_token": known.grant.renewal}
        async with asking(self.turns, payer) as session:
            provider = await self._find(session)
            answer = await self._exchange(session, provider.published, form)
            if not answer.id_token:  # it may say nothing new of the person
                grant = _grant(answer, known.grant)
                return msgspec.structs.replace(known, grant=grant, seconds=_seconds(answer, grant))
            claims = await self._claims(provider, answer)
        return self._identity(claims, provider.trust, answer, known.grant)

    async def sign_out_url(self, grant: Grant, home: str, payer: str) -> str:
        async with asking(self.turns, payer) as session:
            endpoint = (await self._find(session)).published.end_session_endpoint
        if not endpoint:
            return f"{home}/"
        query = {"client_id": self._client.id, "post_logout_redirect_uri": f"{home}/"}
        hint = {"id_token_hint": grant.id_token} if grant.id_token else {}
        return with_query(endpoint, query | hint)

    async def _find(self, session: aiohttp.ClientSession) -> _Known:
        """What the provider publishes, at most an hour old."""
        if self._known and self._known.until > time.monotonic():
            return self._known
        url = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
        status, content = await ask(session, "GET", url)
        try:
            published = msgspec.convert(content, _Published)
        except msgspec.ValidationError as error:
            raise _unusable(
                f"{url} answers {status}, and not as OpenID Connect wants: {error}"
            ) from None
        if published.issuer.rstrip("/") != self._client.issuer.rstrip("/"):
            raise _unusable(f"OIDC_ISSUER must be {published.issuer}, as {url} says")
        trust = Trust(
            secret="",
            jwks_url=published.jwks_uri,
            issuer=published.issuer,
            audience=self._client.id,
            user_claim=self._user_claim,
            role_claim=self._role_claim,
        )
        tokens = self._known.tokens if self._known and self._known.trust == trust else Tokens(trust)
        self._known = _Known(published, trust, tokens, time.monotonic() + _DISCOVERED_FOR)
        return self._known

    async def _exchange(
        self, session: aiohttp.ClientSession, published: _Published, form: Mapping[str, str]
    ) -> _Answer:
        client, headers = self._client, {}
        fields = {**form, "client_id": client.id}
        if (
            client.secret
            and "client_secret_basic" in published.token_endpoint_auth_methods_supported
        ):
            pair = aiohttp.BasicAuth(quote_plus(client.id), quote_plus(client.secret))
            headers = {"Authorization": pair.encode()}
        elif client.secret:
            fields["client_secret"] = client.secret
        status, content = await ask(
            session, "POST", published.token_endpoint, data=fields, headers=headers
        )
        if status in (400, 403):
            reason = _text(content, "error") if isinstance(content, dict) else ""
            raise Unauthenticated(f"The provider refuses it: {reason or status}")
        try:
            if status == 200:
                return msgspec.convert(content, _Answer, strict=False)
        except msgspec.ValidationError as error:
            raise _unusable(f"{published.token_endpoint} answers with no tokens: {error}") from None
        raise _unusable(f"{published.token_endpoint} answers {status}: see OIDC_CLIENT_SECRET")

    async def _claims(self, known: _Known, answer: _Answer) -> Mapping[str, Any]:
        """What the ID token says, if it is for this server. Raises Unauthenticated."""
        claims = await known.tokens.claims(answer.id_token or "")
        audiences = claims["aud"]
        is_shared = isinstance(audiences, list) and len(audiences) > 1
        if claims.get("azp", None if is_shared else self._client.id) != self._client.id:
            raise Unauthenticated("The ID token is for another client")
        return claims

    def _identity(
        self, claims: Mapping[str, Any], trust: Trust, answer: _Answer, granted: Grant
    ) -> Identity:
        principal = principal_of(claims, trust)
        shown = _text(claims, "name").replace("\0", "").strip()[:_MAX_NAME]
        grant = _grant(answer, granted)
        return Identity(
            user_id=principal.name,
            role=principal.role,
            name=shown or principal.name,
            grant=grant,
            seconds=_seconds(answer, grant),
        )


def _grant(answer: _Answer, granted: Grant) -> Grant:
    """A provider repeats neither token if it goes on being valid."""
    return Grant(
        renewal=answer.refresh_token or granted.renewal,
        id_token=answer.id_token or granted.id_token,
    )


def _seconds(answer: _Answer, grant: Grant) -> float | None:
    if not grant.renewal:
        return None
    return min(max(answer.expires_in or 0.0, _MIN_SECONDS), _MAX_SECONDS)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _unusable(reason: str) -> Unavailable:
    """Logs what an operator has to change."""
    logger.error("Nobody can sign in. %s", reason)
    return Unavailable("The sign-in's provider can't be used now")
