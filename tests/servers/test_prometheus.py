"""deploy/prometheus and deploy/grafana with a real Prometheus that scrapes a real server.

Its alerts go to a real Alertmanager.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.events import event
from tests.support.lms import create_assignment, create_class_of
from tests.support.paths import ROOT
from tests.support.programs import find_amtool, find_promtool
from tests.support.receivers import receiving
from tests.support.replicas import Replica
from tests.support.servers import (
    AlertmanagerServer,
    InfluxServer,
    PrometheusServer,
    RedisServer,
)
from tests.support.tokens import bearer
from tests.support.waiting import eventually

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES = PROMETHEUS / "cell-monitor.rules.yml"
RULE_TESTS = PROMETHEUS / "cell-monitor.rules.test.yml"
TOKEN = "a token of the tests for a scraper"
LOAD_SECONDS = 8
pytestmark = pytest.mark.needs("prometheus", "promtool")


def queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Each panel's title, and a query of it as Grafana sends it."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", f"{LOAD_SECONDS}s")


def waited_for() -> set[str]:
    """The metrics that alerts name, and each value of a label that they ask these for."""
    text = RULES.read_text()
    return set(re.findall(r"\b(?:cell_monitor|process)_\w+", text)) | {
        f'{metric}{{{label}="{value}"}}'
        for metric, selectors in re.findall(r"\b(cell_monitor_\w+)\{([^}]*)\}", text)
        for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', selectors)
        for value in values.split("|")
    }


def promtool(*arguments: str) -> str:
    done = subprocess.run([find_promtool(), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_and_rules_are_valid(tmp_path: Path) -> None:
    for path in PROMETHEUS.glob("*.yml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "metrics-token").write_text(TOKEN)
    assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


@pytest.mark.needs("amtool")
def test_each_receiver_of_alerts_is_valid(tmp_path: Path) -> None:
    text = (PROMETHEUS / "alertmanager.yml").read_text()
    all_receivers = re.sub("^# (?=  )", "  ", text, flags=re.MULTILINE)
    assert all_receivers.count("_configs:") == text.count("_configs:") == 3
    for name, configuration in (("as-it-is", text), ("all", all_receivers)):
        path = tmp_path / f"{name}.yml"
        path.write_text(configuration)
        done = subprocess.run([find_amtool(), "check-config", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "1 receivers" in done.stdout


def test_each_alert_is_quiet_and_fires_when_it_should() -> None:
    alerts = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    tests = RULE_TESTS.read_text()
    assert len(alerts) == len(set(alerts)) > 0
    assert re.findall(r"^  - name: (\w+)$", tests, re.MULTILINE) == alerts
    for alert in alerts:
        assert re.search(rf"alertname: {alert}, eval_time: \d+m, exp_alerts: \[\]", tests), alert
        assert re.search(rf"alertname: {alert}\n +eval_time: \d+m\n +exp_alerts:\n", tests), alert
    assert "SUCCESS" in promtool("test", "rules", str(RULE_TESTS))


@pytest.fixture
def replica(
    redis_server: RedisServer, influx_server: InfluxServer, tmp_path: Path
) -> Iterator[Replica]:
    """With all that there are metrics of, also an embedded PostgreSQL."""
    settings = {
        "DATA_DIR": str(tmp_path / "data"),
        "METRICS_TOKEN": TOKEN,
        "INFLUXDB_URL": influx_server.url,
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
    }
    with Replica(settings) as replica:
        yield replica


@pytest.fixture
def prometheus(replica: Replica, tmp_path: Path) -> Iterator[PrometheusServer]:
    directory = tmp_path / "prometheus"
    directory.mkdir()
    with PrometheusServer(directory, replica.port, TOKEN) as server:
        yield server


def test_docs_list_each_metric(replica: Replica) -> None:
    answer = httpx.get(f"{replica.url}/metrics", headers=bearer(TOKEN))
    served = set(re.findall(r"^# TYPE (cell_monitor_\w+) ", answer.text, re.MULTILINE))
    text = (ROOT / "docs" / "operations.md").read_text()
    listed = re.findall(r"`(cell_monitor_\w+)`", re.sub(r"^[^|].*$", "", text, flags=re.MULTILINE))
    assert len(set(listed)) == len(listed)
    assert set(listed) == served


@asynccontextmanager
async def a_lesson(replica: Replica) -> AsyncIterator[None]:
    """Students run cells and hand in, a teacher's page listens and reads, until the end."""

    async def go_on() -> None:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=15) as api:
            class_id, names, students = await create_class_of(api, "hanako", "taro")
            assignment = await create_assignment(api, class_id=class_id)
            while True:
                await api.post("/events", json=[event(userId=name) for name in names])
                work = {"assignment_id": assignment["id"], "student_id": students[0]}
                await api.post("/submissions", json={**work, "content": {}})
                await api.get(f"/classes/{class_id}/now")
                await asyncio.sleep(0.1)

    async with replica.listen():
        lesson = asyncio.create_task(go_on())
        await asyncio.sleep(LOAD_SECONDS)
        assert not lesson.done(), lesson.result()
        yield
        lesson.cancel()


async def query(prometheus: PrometheusServer, expression: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=prometheus.url) as api:
        answer = await api.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, f"{expression}: {answer.text}"
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return [each for each in result if each["value"][1] != "NaN"]


async def test_dashboards_and_alerts_match_what_a_server_says(
    replica: Replica, prometheus: PrometheusServer
) -> None:
    async with a_lesson(replica):
        assert [each["value"][1] for each in await query(prometheus, "up")] == ["1"]
        empty = [
            (dashboard.stem, title, expression)
            for dashboard in DASHBOARDS
            for title, expression in queries(dashboard)
            if not await query(prometheus, expression)
        ]
        assert empty == []
        unknown = [each for each in sorted(waited_for()) if not await query(prometheus, each)]
        assert unknown == ['cell_monitor_requests_total{status="500"}']  # there was no error

        async def unhealthy() -> list[Any] | None:
            async with httpx.AsyncClient(base_url=prometheus.url) as api:
                groups = (await api.get("/api/v1/rules")).json()["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            if not rules or any(rule["health"] == "unknown" for rule in rules):
                return None
            return [rule for rule in rules if rule["health"] != "ok" or rule["state"] == "firing"]

        assert await eventually(unhealthy, lambda each: each is not None) == []


@pytest.mark.needs("alertmanager")
async def test_an_alertmanager_sends_that_a_server_is_down(tmp_path: Path) -> None:
    for name in ("prometheus", "alertmanager"):
        (tmp_path / name).mkdir()
    settings = {"DATA_DIR": str(tmp_path / "data"), "METRICS_TOKEN": TOKEN}
    async with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/alerts"
        with (
            Replica(settings) as replica,
            AlertmanagerServer(tmp_path / "alertmanager", url) as alertmanager,
            PrometheusServer(
                tmp_path / "prometheus", replica.port, TOKEN, alertmanager.port
            ) as prometheus,
        ):

            async def is_scraped() -> bool:
                return [each["value"][1] for each in await query(prometheus, "up")] == ["1"]

            await eventually(is_scraped)
            assert receiver.messages == []
            replica.stop()
            (message, *_) = await eventually(lambda: receiver.messages, within=30)
    assert message["status"] == "firing"
    assert message["commonLabels"]["alertname"] == "CellMonitorDown"
    assert message["commonLabels"]["severity"] == "page"
    instance = f"127.0.0.1:{replica.port}"
    assert message["commonAnnotations"]["summary"] == f"{instance} is not scraped"
