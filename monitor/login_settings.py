"""Checks the settings that say where the page signs in."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.settings import Settings

_OF_A_SERVICE = (
    "jupyterhub_api_url",
    "jupyterhub_api_token",
    "jupyterhub_client_id",
    "jupyterhub_service_prefix",
    "jupyterhub_oauth_callback_url",
)


def check_login(settings: "Settings") -> None:
    """Raises ValueError, which names the setting that is missing, or one too many."""
    if settings.oidc_issuer and not settings.oidc_client_id:
        raise ValueError(
            "OIDC_CLIENT_ID must be what the provider at OIDC_ISSUER calls this server"
        )
    if settings.oidc_client_id and not settings.oidc_issuer:
        raise ValueError("OIDC_ISSUER must be the provider that has OIDC_CLIENT_ID")
    if "openid" not in settings.oidc_scopes.split():
        raise ValueError("OIDC_SCOPES must have openid among others")
    if not settings.jupyterhub_service_name:
        return
    if settings.oidc_issuer:
        raise ValueError(
            "OIDC_ISSUER and JUPYTERHUB_SERVICE_NAME: the page signs in at one of them; a"
            " service of a JupyterHub at the Hub"
        )
    for name in _OF_A_SERVICE:
        if not getattr(settings, name):
            raise ValueError(f"{name.upper()} is missing, which a JupyterHub gives its services")
