"""`run.py rebuild-influxdb`, as an operator calls it."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tests.support.events import event, post
from tests.support.influx import read_points
from tests.support.paths import ROOT
from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.schema import tables
from tests.support.servers import InfluxServer


def rebuild(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "rebuild-influxdb", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_a_bucket_is_rebuilt_from_postgresql(
    environment: dict[str, str], postgres: Address, influx_server: InfluxServer
) -> None:
    hour = timedelta(hours=1)
    old, recent = datetime.now(UTC) - 30 * hour, datetime.now(UTC) - hour
    with Replica(environment) as replica:
        await post(
            replica,
            event(eventTime=old.isoformat(), eventType="notebook_opened"),
            event(eventTime=recent.isoformat(), executionCount=3),
            event(eventTime=recent.isoformat(), eventType="help", notebookPath=None),
        )
    influx = {"INFLUXDB_URL": influx_server.url, "INFLUXDB_BUCKET": postgres["database"]}
    since = (recent - hour).isoformat()
    done = rebuild(environment | influx, "--since", since)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Done: 2 points")
    assert len(await read_points(influx_server, postgres["database"])) == 2
    for _ in range(2):
        assert rebuild(environment | influx).returncode == 0
        assert len(await read_points(influx_server, postgres["database"])) == 3


async def test_a_schema_that_lacks_migrations_is_left_as_it_is(
    environment: dict[str, str], postgres: Address
) -> None:
    done = rebuild(environment | {"INFLUXDB_URL": "http://127.0.0.1:1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The schema lacks 0001_first_version.sql, ")
    assert "run `cell-monitor migrate`" in done.stderr
    assert await tables(postgres) == []


def test_without_influxdb_it_says_what_to_set(environment: dict[str, str]) -> None:
    done = rebuild(environment)
    assert done.returncode == 2
    assert "INFLUXDB_URL" in done.stderr


async def test_what_could_not_be_written_is_told(environment: dict[str, str]) -> None:
    with Replica(environment) as replica:
        await post(replica, event())
    done = rebuild(environment | {"INFLUXDB_URL": "http://127.0.0.1:1"})
    assert done.returncode == 1
    assert "run the command again" in done.stderr
