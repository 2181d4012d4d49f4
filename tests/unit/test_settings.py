"""The settings, as an operator gives them in the environment."""

import re
from pathlib import Path

import msgspec
import pytest

from monitor.settings import Settings, SettingsError, from_environment
from tests.settings import table_of_tests
from tests.support.paths import ROOT

TABLES = [ROOT / "README.md", ROOT / "docs" / "operations.md"]
NAMES = [field.name.upper() for field in msgspec.structs.fields(Settings)]


def test_without_any_variable_all_defaults_hold() -> None:
    settings = from_environment({})
    assert settings == Settings()
    assert settings.project_name == "Student Progress Tracker API"
    assert (settings.host, settings.port, settings.api_v1_str) == ("127.0.0.1", 8000, "/api/v1")
    assert (settings.max_request_events, settings.max_request_bytes) == (1_000, 16 * 1024 * 1024)
    assert settings.backend_cors_origins == ["*"]
    assert not settings.postgres_server
    assert not settings.influxdb_url
    assert not settings.redis_host


def test_no_secret_has_a_default() -> None:
    settings = Settings()
    assert settings.postgres_password == ""
    assert settings.influxdb_token == ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_unset(name: str, value: str) -> None:
    assert from_environment({name: value}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_V1_STR", "api"),
        ("API_V1_STR", "/api/"),
        ("POSTGRES_PORT", "0"),
        ("POSTGRES_PORT", "65536"),
        ("REDIS_PORT", "redis"),
        ("PORT", "8000.5"),
        ("PORT", "-1"),
        ("INFLUXDB_URL", "influxdb:8086"),
        ("INFLUXDB_URL", "http://"),
        ("LOG_LEVEL", "LOUD"),
        ("BACKEND_CORS_ORIGINS", '["http://a"'),
        ("HANDLERS", "[1, 2]"),
        ("TEST_EVENTS", "maybe"),
        ("MAX_REQUEST_EVENTS", "0"),
        ("MAX_REQUEST_BYTES", "16MiB"),
        ("QUEUE_MAX_EVENTS", "999"),
        ("QUEUE_MAX_BYTES", "1000"),
        ("ALLOW_UNAUTHENTICATED", "true"),
        ("NOTIFY_URLS", "no URL"),
        ("NOTIFY_KINDS", "health, weather"),
        ("NOTIFY_LANGUAGE", "fr"),
        ("NOTIFY_QUIET_HOURS", "22-7"),
        ("NOTIFY_TIME_ZONE", "Mars/Olympus"),
        ("NOTIFY_HEALTH_SECONDS", "0"),
        ("NOTIFY_NETWORKS", "10.0.0.0/99"),
        ("NOTIFY_REFUSED_NETWORKS", "school"),
        ("BATCH_MAX_EVENTS", "0"),
        ("BATCH_LINGER", "0"),
        ("STORE_TIMEOUT", "-1"),
        ("STOP_TIMEOUT", "soon"),
        ("STOP_TIMEOUT", "nan"),
        ("MINUTE_EVENTS", "1e3x"),
        ("DAILY_EVENTS", "no"),
        ("SOCKET_MAX_PENDING", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}\\b"):
        from_environment({name: value})


@pytest.mark.parametrize(
    "value",
    ["http://a, https://b:8080", '["http://a", "https://b:8080"]', "http://a,,https://b:8080,"],
)
def test_a_list_is_separated_by_commas_or_written_as_json(value: str) -> None:
    settings = from_environment({"BACKEND_CORS_ORIGINS": value})
    assert settings.backend_cors_origins == ["http://a", "https://b:8080"]


def test_each_variable_sets_the_field_of_its_name() -> None:
    settings = from_environment(
        {
            "PORT": " 9000 ",
            "POSTGRES_PASSWORD": "0123",
            "DATA_DIR": "/var/lib/monitor",
            "BATCH_LINGER": "0.5",
            "HANDLERS": "quiz,exam.handlers",
            "UNKNOWN": "x",
        }
    )
    assert settings.port == 9000
    assert settings.postgres_password == "0123"
    assert settings.data_dir == Path("/var/lib/monitor")
    assert settings.batch_linger == 0.5
    assert settings.handlers == ["quiz", "exam.handlers"]


@pytest.mark.parametrize("name", NAMES)
def test_one_of_the_tables_lists_each_setting(name: str) -> None:
    assert sum(page.read_text().count(f"| `{name}`") for page in TABLES) == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_has_a_test_that_gives_it_to_a_server(name: str) -> None:
    """`make settings` proves that the test fails without it."""
    path, _, function = table_of_tests()[name].partition("::")
    text = (ROOT / "tests" / path).read_text()
    assert re.search(rf"^(async )?def {function}\(", text, re.MULTILINE)


def test_each_row_of_the_tables_has_a_test() -> None:
    rows = {
        name
        for page in TABLES
        for name in re.findall("^[|] `([A-Z][A-Z0-9_]+)`", page.read_text(), re.M)
    }
    assert table_of_tests().keys() == rows
    assert rows - set(NAMES) == {"OTEL_EXPORTER_OTLP_ENDPOINT"}  # OpenTelemetry reads it itself
