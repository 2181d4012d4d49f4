"""Traces that a real server sends to a receiver of OpenTelemetry's protocol."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from tests.support.ecs import lines_of, requests_of
from tests.support.events import event, post
from tests.support.lms import create_class
from tests.support.otlp import Receiver, attributes_of, receiver
from tests.support.paths import ROOT
from tests.support.postgres import address_of, environment_of, row_counts
from tests.support.replicas import RUN, Replica
from tests.support.servers import free_port
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


def admin() -> dict[str, str]:
    return bearer(token("unlikely-admin", "admin"))


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def traced(environment: dict[str, str], collector: Receiver) -> Iterator[Replica]:
    """A replica that sends its spans at once, and logs all requests."""
    settings = {
        "JWT_SECRET": SECRET,
        "LOG_REQUESTS": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "school-7",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=seven",
        "OTEL_TRACES_SAMPLER": "",  # as Compose passes on what is not set
    }
    with Replica({**environment, **settings}) as replica:
        yield replica


async def test_a_request_is_part_of_its_clients_trace(traced: Replica, collector: Receiver) -> None:
    headers = {**admin(), **TRACEPARENT, "X-Request-ID": "traced-1"}
    async with httpx.AsyncClient(base_url=f"{traced.url}/api/v1") as api:
        answer = await api.post("/events?user=unlikely-student", json=[event()], headers=headers)
    assert answer.status_code == 202
    names = ("POST /api/v1/events", "wait for storage", "wait in the queue", "store a batch")
    ((request,), (waiting,), (queued,), batches) = await eventually(
        lambda: [collector.named(each) for each in names], all
    )
    assert request.trace_id.hex() == waiting.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert waiting.parent_span_id == request.span_id
    assert queued.parent_span_id == waiting.span_id
    assert attributes_of(request) == {
        "http.request.method": "POST",
        "http.response.status_code": 202,
        "http.route": "/api/v1/events",
        "url.scheme": "http",
        "cell_monitor.request_id": "traced-1",
    }
    (batch,) = [each for each in batches if each.links]
    assert batch.trace_id != request.trace_id
    assert [link.span_id for link in batch.links] == [waiting.span_id]
    assert [link.span_id for link in waiting.links] == [batch.span_id]
    assert attributes_of(batch) == {"cell_monitor.requests": 1, "cell_monitor.events": 1}
    (written,) = await eventually(
        lambda: [
            each
            for each in collector.named("COPY to PostgreSQL")
            if each.parent_span_id == batch.span_id
        ]
    )
    assert attributes_of(written) == {"cell_monitor.events": 1}
    assert in_order(request, queued, batch, written)
    assert collector.paths == {"/v1/traces"}
    assert collector.headers["x-tenant"] == "seven"
    resource = collector.resource
    assert resource["service.name"] == "school-7"
    assert resource["telemetry.sdk.language"] == "python"
    assert resource["service.instance.id"] == f"{socket.gethostname()}:{traced.port}"
    assert resource["deployment.environment.name"] == "tests"


def in_order(request: Any, queued: Any, batch: Any, written: Any) -> bool:
    """Whether events left the queue for a batch, were written, and were answered then."""
    times = (
        request.start_time_unix_nano,
        queued.start_time_unix_nano,
        queued.end_time_unix_nano,
        written.start_time_unix_nano,
        written.end_time_unix_nano,
        batch.end_time_unix_nano,
        request.end_time_unix_nano,
    )
    return list(times) == sorted(times) and batch.start_time_unix_nano <= times[2]


async def test_what_is_spooled_says_so(tmp_path: Path, collector: Receiver) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        address = address_of(postgres)
        with Replica({**environment_of(address, tmp_path / "data"), **settings}) as replica:
            postgres.stop()
            assert (await post(replica, event())).json()["spooled"] == 1
            (waiting,) = await eventually(lambda: collector.named("wait for storage"))
            assert attributes_of(waiting) == {"cell_monitor.spooled": 1}
            (batch,) = await eventually(lambda: collector.named("store a batch"))
            assert attributes_of(batch)["error.type"] == "StoreInterrupted"
            postgres.start()

            async def stored() -> bool:
                return (await row_counts(address))["executions"] == 1

            await eventually(stored)
    # What drains is no request's: each try was of the batch.
    tries = collector.named("COPY to PostgreSQL")
    assert {each.parent_span_id for each in tries} == {batch.span_id}
    assert {attributes_of(each)["error.type"] for each in tries} == {"Unavailable"}


async def test_a_line_of_the_log_names_the_trace(traced: Replica, collector: Receiver) -> None:
    headers = {**TRACEPARENT, "X-Request-ID": "traced-2"}
    async with httpx.AsyncClient(base_url=f"{traced.url}/api/v1") as api:
        await api.get("/classes", headers=headers)

    def logged() -> list[str]:
        lines = requests_of(traced.output())
        return [each["span.id"] for each in lines if each["http.request.id"] == "traced-2"]

    (span_id,) = await eventually(logged)
    (request,) = await eventually(lambda: collector.named("GET /api/v1/classes"))
    assert request.span_id.hex() == span_id
    assert attributes_of(request)["error.type"] == "Unauthenticated"
    assert {line["service.name"] for line in lines_of(traced.output())} == {"school-7"}


async def test_what_clients_send_for_traces_is_not_logged(
    traced: Replica, collector: Receiver
) -> None:
    parent = TRACEPARENT["traceparent"]
    async with httpx.AsyncClient(base_url=traced.url) as client:
        for path, headers in (
            ("/health", {**TRACEPARENT, "baggage": "unlikely-text=" + 9_000 * "x"}),
            ("/health", {**TRACEPARENT, "tracestate": "unlikely text"}),
            ("/health", {**TRACEPARENT, "tracestate": 600 * "unlikely="}),
            ("/health/live", {"traceparent": f"{parent}-{600 * 'unlikely'}"}),
            ("/health/ready", {"traceparent": "unlikely"}),
        ):
            assert (await client.get(path, headers=headers)).status_code == 200
        two = [*TRACEPARENT.items(), ("traceparent", parent.replace(TRACE, TRACE[::-1]))]
        assert (await client.get("/", headers=two)).status_code == 200
    known = await eventually(lambda: collector.named("GET /health"), lambda each: len(each) == 3)
    assert {each.trace_id.hex() for each in known} == {TRACE}
    lines = lines_of(traced.output())
    assert not [each for each in lines if each["log.logger"].startswith("opentelemetry")]
    assert "unlikely" not in traced.output()
    await eventually(partial(collector.named, "GET /"))
    within = {each.name for each in collector.spans if each.trace_id.hex() == TRACE}
    assert within == {"GET /health"}


async def test_a_call_shows_what_it_waits_for(traced: Replica, collector: Receiver) -> None:
    async with httpx.AsyncClient(base_url=f"{traced.url}/api/v1", headers=admin()) as api:
        lesson = await create_class(api)
        await api.get(f"/classes/{lesson['id']}/errors/")  # with a slash at the end
        await api.get("/students", params={"search": "unlikely-student"})
    (view,) = await eventually(lambda: collector.named("GET /api/v1/classes/{class_id}/errors"))
    within = await eventually(
        lambda: {each.name for each in collector.spans if each.parent_span_id == view.span_id},
        lambda names: len(names) == 2,
    )
    assert within == {"use PostgreSQL", "wait for the counters"}
    await eventually(lambda: collector.named("GET /api/v1/students"))
    # Nobody is named, and background work is no trace.
    sent = b"".join(each.SerializeToString() for each in collector.requests)
    assert b"unlikely" not in sent
    roots = {each.name for each in collector.spans if not each.parent_span_id}
    assert all(name.startswith(("GET /", "POST /", "store a batch")) for name in roots)


@pytest.mark.parametrize(
    ("settings", "are_sent"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, True),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, False),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1"}, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, False),
        ({"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
async def test_the_environment_says_which_requests_are_traced(
    environment: dict[str, str], collector: Receiver, settings: dict[str, str], are_sent: bool
) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with Replica({**environment, **endpoint, **settings}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            await client.get("/health/live", headers=TRACEPARENT)
    # The end of the server sends what has not been sent.
    assert bool(collector.requests) is are_sent


async def test_a_receiver_that_is_away_holds_up_nothing(environment: dict[str, str]) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with Replica({**environment, **settings}) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
            assert (await api.post("/events", json=[event()])).status_code == 202
        began = time.monotonic()
        replica.stop()
        assert time.monotonic() - began < 12
        assert lines_of(replica.output())[-1]["message"] != ""


def test_without_an_endpoint_nothing_is_imported_or_traced() -> None:
    """The client of Redis imports what it would need for metrics of its own."""
    code = (
        "import os, sys\n"
        "from monitor.components import Components\n"
        "from monitor.database.pool import Database\n"
        "from monitor.database.reads import Reads\n"
        "from monitor.http.traced import with_traces\n"
        "from monitor.pipeline.postgres import PostgresSink\n"
        "from monitor.pipeline.queue import EventQueue\n"
        "from monitor.pipeline.store import Store\n"
        "from monitor.pipeline.tracing import batch_store, postgres_sink\n"
        "from monitor.serving import serve\n"
        "from monitor.settings import from_environment\n"
        "from monitor.tracing import is_on, tracing\n"
        "with tracing(os.environ, 'here', '1'):\n"
        "    assert not is_on()\n"
        "    assert with_traces(len) is len\n"
        "    parts = Components(from_environment({}), {})\n"
        "    assert type(parts.queue) is EventQueue\n"
        "    assert type(parts.database) is Database\n"
        "    assert type(parts.reads) is Reads\n"
        "    sink = postgres_sink(None, None, None, False, None)\n"
        "    assert type(sink) is PostgresSink\n"
        "    assert type(batch_store(parts.queue, sink, None)) is Store\n"
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must begin with http:// or https://"),
        ("OTEL_TRACES_EXPORTER", "console", "must be otlp or none"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "must be a positive integer"),
    ],
)
def test_what_can_not_be_is_refused(
    environment: dict[str, str], name: str, text: str, advice: str
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", name: text}
    done = subprocess.run(
        RUN, env={**environment, **settings}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert advice in done.stderr
    assert "Traceback" not in done.stderr
