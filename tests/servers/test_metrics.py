"""`GET /metrics` of real servers: who may read it, in which format, and what it says."""

import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.support.events import event
from tests.support.programs import find_promtool
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

METRICS_TOKEN = "a token of the tests for a scraper"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def guarded(environment: dict[str, str]) -> Iterator[Replica]:
    with Replica({**environment, "JWT_SECRET": SECRET, "METRICS_TOKEN": METRICS_TOKEN}) as replica:
        yield replica


def scrape(replica: Replica, accept: str = "text/plain", timeout: float = 10.0) -> httpx.Response:
    headers = {**bearer(METRICS_TOKEN), "Accept": accept}
    return httpx.get(f"{replica.url}/metrics", headers=headers, timeout=timeout)


def samples(replica: Replica) -> Samples:
    answer = scrape(replica)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(read: Samples, name: str, **labels: str) -> float:
    return read["cell_monitor_" + name, frozenset(labels.items())]


def post(replica: Replica, *events: Any, key: str | None = None) -> httpx.Response:
    headers = bearer(key or token("hanako", "student"))
    return httpx.post(replica.events_url, json=list(events), headers=headers)


def test_only_a_scraper_and_administrators_may_read(guarded: Replica) -> None:
    url = f"{guarded.url}/metrics"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer("another token, of just as many")).status_code == 401
    assert httpx.get(url, headers=bearer(token("mika", "instructor"))).status_code == 403
    assert httpx.get(url, headers=bearer(token("root", "admin"))).status_code == 200
    assert httpx.head(url, headers=bearer(METRICS_TOKEN)).status_code == 200
    assert httpx.post(url, headers=bearer(METRICS_TOKEN)).status_code == 405
    # It is no more than that: the token opens nothing else.
    others = f"{guarded.url}/api/v1/classes"
    assert httpx.get(others, headers=bearer(METRICS_TOKEN)).status_code == 401


def test_an_open_server_asks_for_the_token_if_there_is_one(environment: dict[str, str]) -> None:
    with Replica({**environment, "METRICS_TOKEN": METRICS_TOKEN}) as replica:
        assert httpx.get(f"{replica.url}/metrics").status_code == 401
        assert scrape(replica).status_code == 200


def test_an_open_server_without_one_answers_anybody(shared_replica: Replica) -> None:
    assert "cell_monitor_build_info" in httpx.get(f"{shared_replica.url}/metrics").text


@pytest.mark.needs("promtool")
def test_metrics_follow_the_conventions(guarded: Replica) -> None:
    post(guarded, event())
    text = scrape(guarded).text
    checked = subprocess.run(
        [find_promtool(), "check", "metrics"], input=text, text=True, capture_output=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_openmetrics_is_negotiated(guarded: Replica) -> None:
    plain = scrape(guarded)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    openmetrics = scrape(guarded, wanted)
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    families = read_openmetrics(openmetrics.text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"cell_monitor_ingest_stored_items", "cell_monitor_commit_duration_seconds"} <= names


async def test_each_item_is_counted_by_its_outcome(guarded: Replica) -> None:
    sent = event(eventId=str(uuid.uuid4()), userId="hanako")
    assert post(guarded, sent).json()["stored"] == 1
    assert post(guarded, sent).json()["duplicates"] == 1
    assert post(guarded, {"userId": "hanako"}).status_code == 422
    assert post(guarded, event(), key="nobody's").status_code == 401
    read = samples(guarded)
    assert value(read, "ingest_accepted_items_total") == 3
    assert value(read, "ingest_stored_items_total") == 1
    assert value(read, "ingest_duplicate_items_total") == 1
    assert value(read, "ingest_rejected_items_total", reason="invalid") == 1
    assert value(read, "ingest_rejected_items_total", reason="policy") == 0
    assert value(read, "ingest_refused_requests_total", reason="unauthenticated") == 1
    assert value(read, "ingest_duration_seconds_count") == 3
    assert value(read, "commit_duration_seconds_count") == 3
    assert value(read, "live_duration_seconds_count") == 1
    assert value(read, "logins_total", kind="token", outcome="accepted") == 1
    assert value(read, "logins_total", kind="token", outcome="refused") == 1
    for part in ("components", "outboxes", "school"):
        assert value(read, "scrape_complete", part=part) == 1
    assert value(read, "component_state", component="postgres", state="ok") == 1

    async def are_counted() -> bool:
        return value(samples(guarded), "counting_lag_seconds") == 0

    await eventually(are_counted)
