"""Settings with which a server refuses to start."""

import pytest

from monitor.settings import SettingsError, from_environment
from tests.support.tokens import SECRET


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "school.example"])
def test_an_open_server_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^HOST .*JWT_SECRET.*ALLOW_UNAUTHENTICATED=yes"):
        from_environment({"HOST": host})
    assert from_environment({"HOST": host, "ALLOW_UNAUTHENTICATED": "yes"}).is_exposed
    assert from_environment({"HOST": host, "JWT_SECRET": SECRET}).has_credentials


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
    ],
)
def test_settings_that_would_only_seem_to_secure_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        from_environment(wrong)
