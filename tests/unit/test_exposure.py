"""Settings with which a server refuses to start."""

import pytest

from monitor.settings import SettingsError, from_environment
from tests.support.tokens import SECRET

# What a JupyterHub gives a service.
SERVICE = {
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
    "JUPYTERHUB_API_TOKEN": "x",
    "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_CLIENT_ID": "service-cell-monitor",
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/cell-monitor/oauth_callback",
    "JUPYTERHUB_SERVICE_NAME": "cell-monitor",
    "JUPYTERHUB_SERVICE_PREFIX": "/services/cell-monitor/",
}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "school.example"])
def test_an_open_server_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^HOST .*JWT_SECRET.*ALLOW_UNAUTHENTICATED=yes"):
        from_environment({"HOST": host})
    assert from_environment({"HOST": host, "ALLOW_UNAUTHENTICATED": "yes"}).is_exposed
    assert from_environment({"HOST": host, "JWT_SECRET": SECRET}).has_credentials
    login = {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "x"}
    assert from_environment({"HOST": host, **login}).has_credentials


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_is_no_elsewhere(host: str) -> None:
    assert not from_environment({"HOST": host}).has_credentials


@pytest.mark.parametrize(
    "wrong",
    [
        {"JWT_SECRET": "short"},
        {"ALLOW_UNAUTHENTICATED": "I know"},
        {"JWT_JWKS_URL": "login.example"},
        {"JWT_JWKS_URL": "https://login.example/keys"},
        {"OIDC_ISSUER": "login.example", "OIDC_CLIENT_ID": "x"},
        {"OIDC_ISSUER": "https://login.example"},
        {"OIDC_CLIENT_ID": "x"},
        {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "x", "OIDC_SCOPES": "email"},
        {"JUPYTERHUB_SERVICE_NAME": "cell-monitor"},
        SERVICE | {"JUPYTERHUB_API_URL": ""},
        SERVICE | {"JUPYTERHUB_API_TOKEN": ""},
        SERVICE | {"JUPYTERHUB_CLIENT_ID": ""},
        SERVICE | {"JUPYTERHUB_OAUTH_CALLBACK_URL": ""},
        SERVICE | {"JUPYTERHUB_SERVICE_PREFIX": ""},
        SERVICE | {"JUPYTERHUB_SERVICE_PREFIX": "services/x"},
        SERVICE | {"JUPYTERHUB_BASE_URL": "hub"},
        SERVICE | {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "x"},
    ],
)
def test_settings_that_would_only_seem_to_secure_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        from_environment(wrong)


def test_a_service_of_a_hub_is_served_below_the_hubs_prefix() -> None:
    assert from_environment(SERVICE).path_below == "/services/cell-monitor"
    assert from_environment(SERVICE | {"ROOT_PATH": "/x"}).path_below == "/x"


def test_a_students_own_server_at_a_hub_is_no_service() -> None:
    """A terminal there has some of these variables."""
    variables = SERVICE | {"JUPYTERHUB_SERVICE_PREFIX": "/user/hanako/"}
    del variables["JUPYTERHUB_SERVICE_NAME"]
    assert from_environment(variables).path_below == ""
