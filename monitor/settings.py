"""Every setting, from the environment, validated when the server starts."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import available_timezones

import msgspec

from monitor import __version__
from monitor.address_settings import check_addresses, check_agreement
from monitor.login_settings import check_login

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Url = Annotated[str, msgspec.Meta(pattern="^(https?://.+)?$")]

UNIX = "unix:"  # before the path of a socket
_OURSELVES = "cell-monitor"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_OWN_PATHS = ("/page", "/docs", "/join", "/health", "/metrics", "/ws", "/login", "/logout")
_OPERATOR_KINDS = ("health", "quota", "key_abuse")


class SettingsError(Exception):
    """A variable of the environment has an invalid value; the message names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. Each is named like its variable in the environment, in lower case.

    An empty text means that a part is off, or that the next best is used, as its comment says.
    """

    # The name and version that the health report and OpenAPI show, and the API's prefix.
    project_name: Text = "Student Progress Tracker API"
    project_version: Text = __version__
    api_v1_str: Annotated[str, msgspec.Meta(pattern="^(/[^/]+)*$")] = "/api/v1"
    # Web origins whose pages may make every call; `*` is all, for what the extension calls.
    backend_cors_origins: list[str] = msgspec.field(default_factory=lambda: ["*"])

    # PostgreSQL as a URL, or by its parts: a host or the directory of its socket. Without either it
    # is the embedded one, in `data_dir`.
    database_url: str = ""
    postgres_server: str = ""
    postgres_port: Port = 5432
    postgres_user: Text = "postgres"
    postgres_password: str = ""
    postgres_db: Text = "postgres"
    # A standby for reads: its URL, or its host, otherwise as above; empty: the primary.
    database_read_url: str = ""
    postgres_read_server: str = ""

    # InfluxDB, of 1.x with user and password; empty: no time series. An organisation means a 2.x
    # server; 1.x has databases, which `influxdb_bucket` then names.
    influxdb_url: Url = ""
    influxdb_token: str = ""
    influxdb_org: str = ""
    influxdb_bucket: Text = "progress_bucket"

    # Redis, which replicas exchange live messages through, as a URL or a host; empty: this is the
    # only replica.
    redis_url: str = ""
    redis_host: str = ""
    redis_port: Port = 6379

    # Where to listen: an address, or `unix:` and the path of a socket.
    host: Text = "127.0.0.1"
    port: Port = 8000
    # The server's address as its users have it, for links; empty: as each request names it.
    public_url: Url = ""
    # The path below which a proxy serves it, such as `/monitor`; empty: that of `public_url`.
    root_path: Annotated[str, msgspec.Meta(pattern="^(/[^/]+)*$")] = ""
    # This replica's own directory: the spool, the ingest keys, and the embedded PostgreSQL.
    data_dir: Path = Path("data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # The share of requests that are logged, beside those that are refused or slow.
    log_requests: Share = 0.01
    # Python modules, each with a `monitor.Handlers` named `handlers`.
    handlers: list[str] = msgspec.field(default_factory=list)

    # Whether `host` may be another than loopback though no credential is needed.
    allow_unauthenticated: Literal["yes", "no"] = "no"
    # Tokens of people: signed with a secret of at least 32 characters, or with a provider's keys.
    jwt_secret: Annotated[str, msgspec.Meta(pattern="^(.{32,})?$")] = ""
    jwt_jwks_url: Url = ""
    jwt_issuer: Text = _OURSELVES
    jwt_audience: Text = _OURSELVES
    # The claims with the person's `user_id` and role.
    jwt_user_claim: Text = "sub"
    jwt_role_claim: Text = "role"
    # A JupyterHub whose tokens are accepted, and its group of instructors.
    jupyterhub_api_url: Url = ""
    jupyterhub_instructors: Text = "instructors"
    # An OpenID Connect provider at which the page signs in; without a secret PKCE alone proves who
    # exchanges a code. The claims are those of `jwt_user_claim` and `jwt_role_claim`.
    oidc_issuer: Url = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_scopes: Text = "openid profile email"
    # What a JupyterHub gives its services: the page signs in there, and is served below the prefix.
    jupyterhub_service_name: str = ""
    jupyterhub_service_prefix: Annotated[str, msgspec.Meta(pattern="^(/.*/)?$")] = ""
    jupyterhub_api_token: str = ""
    jupyterhub_client_id: str = ""
    jupyterhub_oauth_callback_url: str = ""
    jupyterhub_base_url: Annotated[str, msgspec.Meta(pattern="^/(.*/)?$")] = "/"
    jupyterhub_host: Url = ""
    # Addresses or networks of proxies whose X-Forwarded-For is believed.
    trusted_proxies: list[str] = msgspec.field(default_factory=list)
    # Events a minute of one caller and of one address, at this replica; `auth.limits.rates_for`
    # derives the limits of requests and bytes.
    minute_events: Count = 300_000
    # Events a day (UTC) of one ingest key, at all replicas together.
    daily_events: Count = 10_000_000
    # A token of at least 32 characters for scrapers of `/metrics`; empty: administrators only.
    metrics_token: Annotated[str, msgspec.Meta(pattern="^(.{32,})?$")] = ""
    # Seconds within which a request must arrive whole, and its answer be read.
    request_timeout: Seconds = 30.0

    # Where operators' notifications go, as URLs of Apprise; a JSON array where one has a comma.
    notify_urls: list[str] = msgspec.field(default_factory=list)
    # Which notifications those are.
    notify_kinds: list[str] = msgspec.field(default_factory=lambda: list(_OPERATOR_KINDS))
    notify_language: Literal["en", "ja"] = "en"
    # When none are sent, such as `22:00-07:00` in this time zone; empty: never.
    notify_quiet_hours: Annotated[str, msgspec.Meta(pattern=f"^({_CLOCK}-{_CLOCK})?$")] = ""
    notify_time_zone: Text = "UTC"
    # Seconds that a part of the server has to be degraded or down before operators are notified.
    notify_health_seconds: Seconds = 60.0
    # Private networks in which classes' receivers may be.
    notify_networks: list[str] = msgspec.field(default_factory=list)
    # Networks in which they may not be, though they are public or among those.
    notify_refused_networks: list[str] = msgspec.field(default_factory=list)

    # Whether `/test/events` exists; empty: only while no credentials are configured.
    test_events: Literal["on", "off", ""] = ""
    # Events and bytes (after gunzip) of one request.
    max_request_events: Count = 1_000
    max_request_bytes: Count = 16 * 1024 * 1024
    # Events and bytes that may wait to be stored; beyond that requests get 503.
    queue_max_events: Count = 20_000
    queue_max_bytes: Count = 64 * 1024 * 1024
    # Events after which a batch takes no more requests.
    batch_max_events: Count = 4_000
    # Seconds that a batch waits for more requests.
    batch_linger: Seconds = 0.002
    # Seconds after which events that PostgreSQL has not committed go to the spool.
    store_timeout: Seconds = 3.0
    # Seconds for open requests to finish when the server stops, and then for events to be stored.
    stop_timeout: Seconds = 10.0
    # Bytes of the spool, beyond which requests get 503.
    spool_max_bytes: Count = 1024 * 1024 * 1024
    # Days after which dead letters are deleted.
    rejected_max_days: Count = 90
    # Messages that a WebSocket may lag behind before it is closed.
    socket_max_pending: Count = 1_000
    # Messages kept for clients that reconnect.
    history_max_messages: Count = 20_000

    def __post_init__(self) -> None:
        check_addresses(self)
        if self.queue_max_events < self.max_request_events:
            raise ValueError("QUEUE_MAX_EVENTS must be at least MAX_REQUEST_EVENTS")
        if self.queue_max_bytes < self.max_request_bytes:
            raise ValueError("QUEUE_MAX_BYTES must be at least MAX_REQUEST_BYTES")
        if self.jwt_jwks_url and self.jwt_issuer == _OURSELVES:
            raise ValueError("JWT_ISSUER must be the issuer of the provider at JWT_JWKS_URL")
        check_login(self)
        if f"{self.api_v1_str}/".startswith(f"{self.path_below}/") and self.path_below:
            raise ValueError("ROOT_PATH, or the path of PUBLIC_URL, must not begin API_V1_STR")
        if self.path_below in _OWN_PATHS:
            raise ValueError(f"ROOT_PATH, or the path of PUBLIC_URL, is one of {_OWN_PATHS}")
        self._check_notifications()
        if not (self.has_credentials or self.is_exposed or _is_loopback(self.host)):
            raise ValueError(
                f"HOST {self.host} would let anybody in: set JWT_SECRET, JWT_JWKS_URL,"
                " OIDC_ISSUER or JUPYTERHUB_API_URL, so that a credential is needed, or"
                " HOST=127.0.0.1; if something else keeps strangers out, set"
                " ALLOW_UNAUTHENTICATED=yes"
            )

    def _check_notifications(self) -> None:
        """Raises ValueError, without any part of a URL: it holds a secret."""
        if not all(re.match(r"[a-z]+://.", url) for url in self.notify_urls):
            raise ValueError("NOTIFY_URLS must be URLs such as slack://… or mailtos://…")
        if unknown := set(self.notify_kinds) - set(_OPERATOR_KINDS):
            kinds = ", ".join(_OPERATOR_KINDS)
            raise ValueError(f"NOTIFY_KINDS has {min(unknown)}: use some of {kinds}")
        zones = available_timezones()  # none where the system lacks them
        if zones and self.notify_time_zone not in zones:
            raise ValueError("NOTIFY_TIME_ZONE must be a time zone's name, such as Asia/Tokyo")
        for name in ("notify_networks", "notify_refused_networks"):
            for network in getattr(self, name):
                try:
                    ip_network(network)
                except ValueError:
                    raise ValueError(f"{name.upper()} has {network}, which is no network") from None

    @property
    def changed(self) -> list[str]:
        """The names of the settings that differ from their defaults: values may be secrets."""
        defaults = Settings()
        names = self.__struct_fields__
        return [name.upper() for name in names if getattr(self, name) != getattr(defaults, name)]

    @property
    def has_credentials(self) -> bool:
        """Whether a request needs a credential; if not, any caller may do anything."""
        return bool(
            self.jwt_secret or self.jwt_jwks_url or self.jupyterhub_api_url or self.oidc_issuer
        )

    @property
    def signs_in(self) -> bool:
        """Whether people sign in on the page, at a provider or a JupyterHub."""
        return bool(self.oidc_issuer or self.jupyterhub_service_name)

    @property
    def path_below(self) -> str:
        """The path below which the server's own begin, as users have it; empty for none."""
        of_service = self.jupyterhub_service_prefix if self.jupyterhub_service_name else ""
        of_url = unquote(urlsplit(self.public_url).path)
        return self.root_path or (of_url or of_service).rstrip("/")

    @property
    def place(self) -> str:
        """Where it listens, which tells replicas of one host apart: a port, or a socket's path."""
        return self.host.removeprefix(UNIX) if self.host.startswith(UNIX) else str(self.port)

    @property
    def is_exposed(self) -> bool:
        """Whether callers without a credential are allowed from other machines."""
        return self.allow_unauthenticated == "yes"

    @property
    def keeps_test_events(self) -> bool:
        """Whether `/test/events` exists."""
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
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
        check_agreement(settings, values.keys())
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error))) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return settings


def _is_loopback(host: str) -> bool:
    if host.startswith(UNIX):
        return True
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
        return text  # not a list, so `convert` refuses it


def _path(kind: type, text: str) -> Path:
    return Path(text)


def _explain(message: str) -> str:
    """msgspec's message with the variable's name in front: `PORT: Expected `int`, got …`."""
    reason, _, path = message.partition(" - at `$")
    name = re.sub(r"\[.*", "", path.strip(".`")).upper()
    return f"{name}: {reason}" if name else reason
