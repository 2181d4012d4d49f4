"""Where servers are: by URL or by parts, which must agree."""

import pytest

from monitor.addresses import influx_target, redis_address, without_password
from monitor.live.redis_address import RedisAddress
from monitor.postgres_commands import variables_of_url
from monitor.settings import SettingsError, from_environment

URL = "postgres://ann:s%2Fcret@db.school:6432/lessons?sslmode=require"
PARTS = {
    "POSTGRES_SERVER": "db.school",
    "POSTGRES_PORT": "6432",
    "POSTGRES_USER": "ann",
    "POSTGRES_PASSWORD": "s/cret",
    "POSTGRES_DB": "lessons",
}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"POSTGRES_SERVER": URL}, "^POSTGRES_SERVER is a host: .* DATABASE_URL$"),
        ({"POSTGRES_READ_SERVER": URL}, "^POSTGRES_READ_SERVER is a host: .* DATABASE_READ_URL$"),
        ({"REDIS_HOST": "redis://:secret@r"}, "^REDIS_HOST is a host: .* REDIS_URL$"),
        ({"DATABASE_URL": "postgresql+asyncpg://ann:secret@db/x"}, "^DATABASE_URL must begin with"),
        ({"DATABASE_URL": "mysql://ann:secret@db/x"}, "^DATABASE_URL must begin with"),
        ({"DATABASE_URL": "db.school"}, "^DATABASE_URL must begin with"),
        ({"DATABASE_URL": "postgres://ann:secret@[db/x"}, "^DATABASE_URL is no URL"),
        ({"REDIS_URL": "http://redis"}, "^REDIS_URL must begin with redis://"),
        ({"REDIS_URL": "redis+sentinel://:secret@one,two/0"}, "^REDIS_URL must name .* master"),
        ({"REDIS_URL": "redis://one", "REDIS_HOST": "two"}, "^REDIS_HOST and REDIS_URL differ"),
        ({"REDIS_URL": "redis://one", "REDIS_PORT": "7000"}, "^REDIS_PORT and REDIS_URL differ"),
        (
            {"REDIS_URL": "redis://one:6380", "REDIS_PORT": "6379"},
            "^REDIS_PORT and REDIS_URL differ",
        ),
        (
            {"DATABASE_URL": URL, "POSTGRES_PORT": "5432"},
            "^POSTGRES_PORT and DATABASE_URL differ",
        ),
        (
            {"DATABASE_URL": URL, "POSTGRES_USER": "postgres"},
            "^POSTGRES_USER and DATABASE_URL differ",
        ),
        *(
            ({"DATABASE_URL": URL, **PARTS, name: "4"}, f"^{name} and DATABASE_URL differ")
            for name in PARTS
        ),
    ],
)
def test_what_is_wrong_is_said_without_the_password(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        from_environment(environment)
    assert "secret" not in str(refused.value)


def test_a_url_and_parts_that_agree_are_accepted() -> None:
    assert from_environment({"DATABASE_URL": URL, **PARTS}).database_url == URL
    assert from_environment({"REDIS_URL": "redis://r:6379/1", "REDIS_HOST": "r"}).redis_url


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"REDIS_HOST": "r"}, "redis://r:6379"),
        ({"REDIS_HOST": "::1", "REDIS_PORT": "7000"}, "redis://[::1]:7000"),
        ({"REDIS_URL": "rediss://:x@r/1"}, "rediss://:x@r/1"),
    ],
)
def test_redis_is_at_a_host_or_a_url(environment: dict[str, str], url: str) -> None:
    address = redis_address(from_environment(environment))
    assert address
    assert address.url == url


def test_what_is_shown_has_no_password() -> None:
    assert without_password(URL) == "postgres://db.school:6432/lessons"
    target = influx_target(from_environment({"INFLUXDB_URL": "https://ann:s%2Fcret@influx:8086"}))
    assert target
    assert (target.url, target.user, target.password) == ("https://influx:8086", "ann", "s/cret")


def test_postgresqls_programs_connect_where_the_url_says() -> None:
    url = URL.replace("require", "verify-full&sslrootcert=ca.pem&search_path=lessons")
    assert variables_of_url(url) == {
        "PGHOST": "db.school",
        "PGPORT": "6432",
        "PGUSER": "ann",
        "PGPASSWORD": "s/cret",
        "PGDATABASE": "lessons",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "ca.pem",
        "PGOPTIONS": "-c search_path=lessons",
    }


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("redis://:x@r:7000/3?protocol=2", 3),
        ("rediss://r", 0),
        ("unix://:x@/run/redis.sock?db=2", 2),
        ("redis+sentinel://:x@one:1,two:2/4?master=m", 4),
    ],
)
def test_a_url_names_the_database_of_redis(url: str, number: int) -> None:
    assert RedisAddress(url).database == number
