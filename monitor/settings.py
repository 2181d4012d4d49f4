"""Every setting, from the environment, validated when the server starts."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from monitor import __version__

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Url = Annotated[str, msgspec.Meta(pattern="^(https?://.+)?$")]

_OURSELVES = "cell-monitor"


class SettingsError(Exception):
    """A variable of the environment has a value that makes no sense."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. Each is named like its variable in the environment, in lower case."""

    project_name: Text = "Student Progress Tracker API"
    project_version: Text = __version__
    api_v1_str: Annotated[str, msgspec.Meta(pattern="^(/[^/]+)*$")] = "/api/v1"
    backend_cors_origins: list[str] = msgspec.field(default_factory=lambda: ["*"])

    postgres_server: str = ""
    postgres_port: Port = 5432
    postgres_user: Text = "postgres"
    postgres_password: str = ""
    postgres_db: Text = "postgres"
    postgres_read_server: str = ""

    influxdb_url: Url = ""
    influxdb_token: str = ""
    influxdb_org: str = ""
    influxdb_bucket: Text = "progress_bucket"

    redis_host: str = ""
    redis_port: Port = 6379

    host: Text = "127.0.0.1"
    port: Port = 8000
    data_dir: Path = Path("data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    handlers: list[str] = msgspec.field(default_factory=list)

    open_to_all: Literal["", "I know"] = ""
    jwt_secret: Annotated[str, msgspec.Meta(pattern="^(.{32,})?$")] = ""
    jwt_jwks_url: Url = ""
    jwt_issuer: Text = _OURSELVES
    jwt_audience: Text = _OURSELVES
    jwt_user_claim: Text = "sub"
    jwt_role_claim: Text = "role"
    jupyterhub_api_url: Url = ""
    jupyterhub_instructors: Text = "instructors"
    recheck_credentials: Seconds = 20.0
    trusted_proxies: list[str] = msgspec.field(default_factory=list)
    minute_requests: Count = 60_000
    minute_events: Count = 300_000
    minute_bytes: Count = 1024 * 1024 * 1024
    daily_events: Count = 10_000_000
    max_sockets: Count = 100
    max_header_bytes: Count = 32 * 1024
    request_timeout: Seconds = 30.0

    test_events: Literal["on", "off", ""] = ""
    max_request_events: Count = 1_000
    max_request_bytes: Count = 16 * 1024 * 1024
    queue_max_events: Count = 20_000
    queue_max_bytes: Count = 64 * 1024 * 1024
    consumers: Count = 2
    batch_max_events: Count = 4_000
    batch_linger: Seconds = 0.002
    store_timeout: Seconds = 3.0
    stop_timeout: Seconds = 10.0
    spool_max_bytes: Count = 1024 * 1024 * 1024
    rejected_max_days: Count = 90
    known_names: Count = 200_000
    influxdb_max_pending: Count = 200_000
    socket_max_pending: Count = 1_000
    socket_max_bytes: Count = 1024 * 1024
    history_max_messages: Count = 20_000
    history_max_bytes: Count = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.queue_max_events < self.max_request_events:
            raise ValueError("QUEUE_MAX_EVENTS must be at least MAX_REQUEST_EVENTS")
        if self.queue_max_bytes < self.max_request_bytes:
            raise ValueError("QUEUE_MAX_BYTES must be at least MAX_REQUEST_BYTES")
        if self.jwt_jwks_url and self.jwt_issuer == _OURSELVES:
            raise ValueError("JWT_ISSUER must name whose keys JWT_JWKS_URL has")
        if not (self.has_credentials or self.open_to_all or _is_loopback(self.host)):
            raise ValueError(
                f"HOST {self.host} would let anybody in: set JWT_SECRET, JWT_JWKS_URL or"
                " JUPYTERHUB_API_URL, so that everybody needs a credential, or HOST=127.0.0.1;"
                ' where something else keeps strangers out, OPEN_TO_ALL="I know"'
            )

    @property
    def has_credentials(self) -> bool:
        """Whether a request needs a credential; without, everybody may do everything."""
        return bool(self.jwt_secret or self.jwt_jwks_url or self.jupyterhub_api_url)

    @property
    def keeps_test_events(self) -> bool:
        return self.test_events == "on" or not (self.test_events or self.has_credentials)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that the environment names; an empty variable counts as unset.

    Lists are separated by commas, or written as a JSON array. Raises SettingsError.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        if text := environment.get(field.name.upper(), "").strip():
            values[field.name] = _list(text) if field.type == list[str] else text
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error))) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _list(text: str) -> Any:
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text  # which is no list, and will be refused as such


def _path(kind: type, text: str) -> Path:
    return Path(text)


def _explain(message: str) -> str:
    """msgspec's message with the variable's name in front: `PORT: Expected `int`, got …`."""
    reason, _, path = message.partition(" - at `$")
    name = re.sub(r"\[.*", "", path.strip(".`")).upper()
    return f"{name}: {reason}" if name else reason
