"""Where Redis is: at a URL, or where Sentinels say."""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from monitor.tasks import describe

_SCHEMES_OF_MASTERS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_SENTINEL_PORT = 26379
_REFUSALS = ("HELLO must be called", "WRONGPASS", "NOAUTH", "NOPERM")


class RedisAddress(NamedTuple):
    """A URL of redis-py, such as `rediss://user:password@host:6380/0?ssl_ca_certs=ca.pem`.

    Of `redis+sentinel://user:password@host:26379,other:26379/0?master=mymaster` the hosts are
    Sentinels'; user, password, database and options are those of the master.
    """

    url: str

    @property
    def database(self) -> int:
        """The number of the database; Pub/Sub itself knows none."""
        parts = urlsplit(self.url)
        scheme = "redis" if parts.scheme in _SCHEMES_OF_MASTERS else parts.scheme
        place = parts if scheme == "unix" else parts._replace(netloc="localhost")
        return int(parse_url(place._replace(scheme=scheme).geturl()).get("db", 0))

    def client(self, **options: Any) -> Redis:
        """A client, which connects when it is used. `options` are redis-py's."""
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES_OF_MASTERS:
            return Redis.from_url(self.url, **options)
        user, at, hosts = parts.netloc.rpartition("@")
        query = dict(parse_qsl(parts.query))
        master, password = query.pop("master"), query.pop("sentinel_password", None)
        scheme = _SCHEMES_OF_MASTERS[parts.scheme]
        of_master = parts._replace(
            scheme=scheme, netloc=f"{user}{at}localhost", query=urlencode(query)
        )
        arguments: dict[str, Any] = {**parse_url(of_master.geturl()), **options}
        for name in ("host", "port", "connection_class"):
            arguments.pop(name, None)
        timeouts = {name: each for name, each in options.items() if name.startswith("socket_")}
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [_host_and_port(each) for each in hosts.split(",")],
            sentinel_kwargs={**timeouts, "password": password},
            ssl=scheme == "rediss",
            **arguments,
        )
        client: Redis = sentinel.master_for(master)
        return client


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or _SENTINEL_PORT


def explain(error: Exception) -> str:
    """Why Redis can't be used, and what an operator has to look at."""
    if isinstance(error, MasterNotFoundError):  # the driver adds the whole state of its clients
        name, _, errors = str(error).partition(" : ")
        return f"{name}: {_advice_on_sentinels(errors)}"
    return f"{describe(error)}: {_advice(error)}"


def _advice_on_sentinels(errors: str) -> str:
    if "AuthenticationError" in errors:
        return "check sentinel_password in REDIS_URL"
    return "look whether a Sentinel in REDIS_URL runs, and knows a master of this name that is up"


def _advice(error: Exception) -> str:
    text = str(error)
    if isinstance(error, AuthenticationError) or text.startswith(_REFUSALS):
        return "check user and password in REDIS_URL"
    if isinstance(error, (OSError, RedisConnectionError, RedisTimeoutError)):
        return "start it, or check host and port in REDIS_URL, or REDIS_HOST and REDIS_PORT"
    return "see its own log"
