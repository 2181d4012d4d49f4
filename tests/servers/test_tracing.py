"""Traces that a real server sends to a receiver of OpenTelemetry's protocol."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.ecs import lines_of, requests_of
from tests.support.events import event
from tests.support.lms import create_class
from tests.support.otlp import Receiver, attributes_of, receiver
from tests.support.paths import ROOT
from tests.support.replicas import RUN, Replica
from tests.support.servers import free_port
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
ADMIN = bearer(token("unlikely-admin", "admin"))


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
    headers = {**ADMIN, **TRACEPARENT, "X-Request-ID": "traced-1"}
    async with httpx.AsyncClient(base_url=f"{traced.url}/api/v1") as api:
        answer = await api.post("/events?user=unlikely-student", json=[event()], headers=headers)
    assert answer.status_code == 202
    name = "POST /api/v1/events"
    ((request,), (waiting,), batches) = await eventually(
        lambda: [collector.named(each) for each in (name, "wait for storage", "store a batch")],
        all,
    )
    assert request.trace_id.hex() == waiting.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert waiting.parent_span_id == request.span_id
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
    assert attributes_of(batch) == {"cell_monitor.requests": 1, "cell_monitor.events": 1}
    assert collector.paths == {"/v1/traces"}
    assert collector.headers["x-tenant"] == "seven"
    resource = collector.resource
    assert resource["service.name"] == "school-7"
    assert resource["service.instance.id"] == f"{socket.gethostname()}:{traced.port}"
    assert resource["deployment.environment.name"] == "tests"


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


async def test_a_call_shows_what_it_waits_for(traced: Replica, collector: Receiver) -> None:
    async with httpx.AsyncClient(base_url=f"{traced.url}/api/v1", headers=ADMIN) as api:
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


async def test_the_sampler_is_the_environments(
    environment: dict[str, str], collector: Receiver
) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "always_off",
    }
    with Replica({**environment, **settings}) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            await client.get("/health/live", headers=TRACEPARENT)
    assert collector.requests == []


async def test_a_receiver_that_is_away_holds_up_nothing(environment: dict[str, str]) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with Replica({**environment, **settings}) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
            assert (await api.post("/events", json=[event()])).status_code == 202
        began = time.monotonic()
        replica.stop()
        assert time.monotonic() - began < 12
        assert lines_of(replica.output())[-1]["message"] != ""


def test_without_an_endpoint_nothing_is_imported_or_wrapped() -> None:
    """The client of Redis imports what it would need for metrics of its own."""
    code = (
        "import os, sys\n"
        "from monitor.serving import serve\n"
        "from monitor.http.traced import with_traces\n"
        "from monitor.tracing import is_on, tracing\n"
        "with tracing(os.environ, 'here', '1'):\n"
        "    assert not is_on()\n"
        "    assert with_traces(len) is len\n"
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_another_protocol_is_refused(environment: dict[str, str]) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    done = subprocess.run(
        RUN, env={**environment, **settings}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf" in done.stderr
    assert "Traceback" not in done.stderr
