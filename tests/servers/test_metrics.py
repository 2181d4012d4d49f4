"""`GET /metrics` of real servers: who may read it, in which format, and what it says."""

import asyncio
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.embedded import postmaster_of
from tests.support.events import event
from tests.support.postgres import Address, address_of, environment_of, fetch
from tests.support.programs import find_promtool
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

METRICS_TOKEN = "a token of the tests for a scraper"
TRANSACTIONS = """
    SELECT xact_commit + xact_rollback AS number FROM pg_stat_database
    WHERE datname = current_database()
"""
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


def post(replica: Replica, *events: Any, credential: str | None = None) -> httpx.Response:
    headers = bearer(credential or token("hanako"))
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
    hanako = token("hanako")
    assert post(guarded, sent, credential=hanako).json()["stored"] == 1
    assert post(guarded, sent, credential=hanako).json()["duplicates"] == 1
    assert post(guarded, {"userId": "hanako"}, credential=hanako).status_code == 422
    assert post(guarded, event(), credential="nobody's").status_code == 401
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
    for part in ("components", "disk", "outboxes", "school"):
        assert value(read, "scrape_complete", part=part) == 1
    assert value(read, "component_state", component="postgres", state="ok") == 1

    async def are_counted() -> bool:
        return value(samples(guarded), "counting_lag_seconds") == 0

    await eventually(are_counted)


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that a test may stop."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
def spooling(own_postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Replica]:
    settings = {**environment_of(address_of(own_postgres), tmp_path / "data")}
    with Replica({**settings, "METRICS_TOKEN": METRICS_TOKEN}) as replica:
        yield replica


def names(read: Samples) -> set[str]:
    return {name for name, _ in read}


FROM_POSTGRESQL = {
    "cell_monitor_outbox_rows",
    "cell_monitor_outbox_age_seconds",
    "cell_monitor_counting_lag_seconds",
    "cell_monitor_classes",
    "cell_monitor_active_students",
    "cell_monitor_active_classes",
}


async def test_while_postgresql_is_down_what_it_knows_is_absent(
    own_postgres: EmbeddedPostgres, spooling: Replica
) -> None:
    assert post(spooling, event(userId="hanako")).json()["stored"] == 1
    assert names(samples(spooling)) >= FROM_POSTGRESQL
    own_postgres.stop()
    idle = await eventually(
        lambda: samples(spooling),
        lambda read: value(read, "component_state", component="postgres", state="down") == 1,
    )
    assert not names(idle) & FROM_POSTGRESQL
    kept = post(spooling, event(), {"userId": "no type"}).json()
    assert (kept["spooled"], len(kept["rejected"])) == (1, 1)
    read = samples(spooling)
    assert not names(read) & FROM_POSTGRESQL
    assert value(read, "scrape_complete", part="disk") == 1
    assert 0 < value(read, "data_dir_free_bytes") < value(read, "data_dir_size_bytes")
    assert value(read, "scrape_complete", part="outboxes") == 0
    assert value(read, "scrape_complete", part="school") == 0
    assert value(read, "component_state", component="postgres", state="down") == 1
    assert value(read, "spool_active") == 1
    assert value(read, "spool_items") == 2
    assert value(read, "ingest_spooled_items_total", reason="away") == 2
    assert value(read, "ingest_spooled_items_total", reason="slow") == 0
    assert value(read, "ingest_accepted_items_total") == 3
    own_postgres.start()
    drained = await eventually(
        lambda: samples(spooling), lambda read: value(read, "spool_drained_items_total") == 2
    )
    assert value(drained, "ingest_accepted_items_total") == 3
    assert value(drained, "ingest_stored_items_total") == 2
    assert value(drained, "ingest_rejected_items_total", reason="invalid") == 1
    await eventually(lambda: samples(spooling), lambda read: names(read) >= FROM_POSTGRESQL)


async def test_while_postgresql_hangs_a_scrape_answers_in_time(
    own_postgres: EmbeddedPostgres, spooling: Replica
) -> None:
    assert names(samples(spooling)) >= FROM_POSTGRESQL
    postmaster = postmaster_of(own_postgres.directory)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        deadline = time.monotonic() + 20
        durations = []
        while True:
            began = time.monotonic()
            read = samples(spooling)
            durations.append(time.monotonic() - began)
            assert value(read, "queue_items") == 0
            if not value(read, "scrape_complete", part="outboxes"):
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.5)
        assert "cell_monitor_outbox_rows" not in names(read)
        assert max(durations) < 5
    finally:
        for process in processes:
            process.resume()
    await eventually(lambda: samples(spooling), lambda read: names(read) >= FROM_POSTGRESQL)


async def test_a_flood_of_scrapes_asks_postgresql_no_more_often(
    guarded: Replica, postgres: Address
) -> None:
    async def transactions() -> int:
        await asyncio.sleep(1.5)  # sessions report what they did once a second
        (row,) = await fetch(postgres, TRANSACTIONS)
        return int(row["number"])

    before = await transactions()
    async with httpx.AsyncClient(headers=bearer(METRICS_TOKEN), timeout=30) as client:
        for _ in range(10):
            flood = (client.get(f"{guarded.url}/metrics") for _ in range(20))
            assert {answer.status_code for answer in await asyncio.gather(*flood)} == {200}
    assert await transactions() - before < 200  # each scrape by itself would take five


async def test_sockets_and_deliveries_are_counted(replica: Replica) -> None:
    async with replica.listen() as one, replica.listen() as another:
        assert post(replica, event()).json()["stored"] == 1
        assert (await one.next())["event"] == (await another.next())["event"]
        read = samples(replica)
        assert value(read, "sockets") == value(read, "sockets_opened_total") == 2
        assert value(read, "live_deliveries_total") == 2
        assert value(read, "sockets_closed_slow_total") == 0
    await eventually(lambda: value(samples(replica), "sockets") == 0)


async def test_labels_are_bounded_whatever_is_asked_for(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        for number in range(50):
            await client.get(f"/api/v1/nothing-{number}")
            await client.get(f"/api/v1/classes/{number}")
            await client.request(f"METHOD{number}", f"/{number}")
    post(replica, event(userId="hanako-of-metrics", notebookPath="secret-of-metrics.ipynb"))
    answer = scrape(replica).text
    assert "of-metrics" not in answer
    groups = {labels for name, labels in samples(replica) if name == "cell_monitor_requests_total"}
    assert {dict(labels)["group"] for labels in groups} <= {"classes", "health", "metrics", "other"}
    assert len(groups) < 12


async def test_restarts_of_the_embedded_postgresql_are_counted(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path / "data"), "METRICS_TOKEN": METRICS_TOKEN}
    with Replica(settings) as replica:
        assert value(samples(replica), "embedded_postgres_restarts_total") == 0
        postmaster_of(tmp_path / "data" / "postgres").kill()
        await eventually(
            lambda: samples(replica),
            lambda read: value(read, "embedded_postgres_restarts_total") == 1,
        )
        await eventually(
            lambda: samples(replica),
            lambda read: value(read, "component_state", component="postgres", state="ok") == 1,
        )
