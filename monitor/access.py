"""Who may come in, by the settings: authentication, rate limits and web origins."""

from functools import partial

from monitor.auth.authentication import Authenticator
from monitor.auth.hub_login import HubProvider, Service
from monitor.auth.jupyterhub import JupyterHubClient
from monitor.auth.keyring import Keyring
from monitor.auth.limits import Limiter, rates_for
from monitor.auth.login_cookies import LoginCookies
from monitor.auth.logins import Logins
from monitor.auth.openid import Client, OpenIdProvider
from monitor.auth.origins import Origins
from monitor.auth.providers import Provider
from monitor.auth.revocations import Revocations
from monitor.auth.tokens import Tokens, Trust
from monitor.database.pool import Database
from monitor.http.public_url import Address, public_url
from monitor.settings import Settings


def trust(settings: Settings) -> Trust:
    return Trust(
        secret=settings.jwt_secret,
        jwks_url=settings.jwt_jwks_url,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        user_claim=settings.jwt_user_claim,
        role_claim=settings.jwt_role_claim,
    )


def access(
    settings: Settings, database: Database, keyring: Keyring, revocations: Revocations
) -> tuple[Authenticator, Limiter | None, Origins, LoginCookies]:
    """Authentication, rate limits, the check of web origins, and cookies, from the settings."""
    tokens = Tokens(trust(settings)) if settings.jwt_secret or settings.jwt_jwks_url else None
    hub = JupyterHubClient(settings.jupyterhub_api_url.rstrip("/"), settings.jupyterhub_instructors)
    known_hub = hub if settings.jupyterhub_api_url else None
    provider = _provider(settings, hub)
    logins = Logins(database, provider) if provider else None
    authenticator = Authenticator(keyring, revocations, tokens, known_hub, logins)
    is_private = authenticator.is_open and not settings.is_exposed
    limiter = None if is_private else Limiter(rates_for(settings.minute_events))
    return (
        authenticator,
        limiter,
        Origins(
            settings.backend_cors_origins,
            is_private,
            settings.public_url,
            is_open=authenticator.is_open,
        ),
        LoginCookies(partial(public_url, Address(settings.public_url, settings.path_below))),
    )


def _provider(settings: Settings, hub: JupyterHubClient) -> Provider | None:
    """Where the page signs in, if anywhere."""
    if settings.oidc_issuer:
        client = Client(
            issuer=settings.oidc_issuer,
            id=settings.oidc_client_id,
            secret=settings.oidc_client_secret,
            scopes=settings.oidc_scopes,
        )
        return OpenIdProvider(client, settings.jwt_user_claim, settings.jwt_role_claim)
    if settings.jupyterhub_service_name:
        service = Service(
            name=settings.jupyterhub_service_name,
            client_id=settings.jupyterhub_client_id,
            api_token=settings.jupyterhub_api_token,
            callback=settings.jupyterhub_oauth_callback_url,
            public=f"{settings.jupyterhub_host}{settings.jupyterhub_base_url}hub/",
        )
        return HubProvider(service, hub)
    return None
