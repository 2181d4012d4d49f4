"""OpenTelemetry traces, off unless the environment says where to send them.

While they are off nothing traces and nothing is imported: a request costs as much as without them.
"""

import threading
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from monitor.errors import MonitorError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, SpanKind, Tracer

SERVICE = "cell-monitor"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_EXPORTER = "OTEL_TRACES_EXPORTER"
_SCHEMES = ("http://", "https://")
_FLUSH_SECONDS = 3.0  # at the end, for what was not sent yet

_tracer: "Tracer | None" = None


class TracingError(MonitorError):
    """The environment asks for traces that can't be sent."""


def is_on() -> bool:
    """Whether spans are recorded: from `tracing` on."""
    return _tracer is not None


@contextmanager
def tracing(environment: MutableMapping[str, str], place: str, version: str) -> Iterator[None]:
    """Records spans meanwhile, if the environment has an endpoint.

    OpenTelemetry reads the rest itself, such as OTEL_TRACES_SAMPLER. An empty variable counts as
    unset. Raises TracingError.
    """
    global _tracer
    for name in [name for name, text in environment.items() if name.startswith("OTEL_")]:
        if not environment[name].strip():
            del environment[name]
    if not _is_wanted(environment):
        yield
        return
    provider = _provider(environment, place, version)
    _tracer = provider.get_tracer("monitor", version)
    try:
        yield
    finally:
        _tracer = None
        # A receiver that is away holds up no stop: what it did not take is lost.
        ending = threading.Thread(target=provider.shutdown, name="last traces", daemon=True)
        ending.start()
        ending.join(_FLUSH_SECONDS)


@contextmanager
def span(
    name: str,
    *,
    attributes: Mapping[str, Any] | None = None,
    kind: "SpanKind | None" = None,
    context: "Context | None" = None,
    links: "Sequence[Link] | None" = None,
) -> Iterator["Span"]:
    """A span within the present one, or within that of `context`. Only while tracing is on.

    An error ends it with the error's class: its message may name people.
    """
    from opentelemetry.trace import SpanKind, Status, StatusCode

    assert _tracer is not None  # noqa: S101 - what the docstring says
    with _tracer.start_as_current_span(
        name,
        context,
        kind or SpanKind.INTERNAL,
        attributes,
        links,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def start_span(name: str) -> "Span":
    """A span within the present one, which who calls this ends. Only while tracing is on."""
    assert _tracer is not None  # noqa: S101 - what the docstring says
    return _tracer.start_span(name)


def is_in_span() -> bool:
    """Whether what runs is part of a trace: background work is of none."""
    if not is_on():
        return False
    from opentelemetry.trace import get_current_span

    return get_current_span().get_span_context().is_valid


def trace_fields() -> dict[str, str]:
    """The fields of a log's line that name the present span; none outside of one."""
    if not is_in_span():
        return {}
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return {
        "trace.id": format_trace_id(context.trace_id),
        "span.id": format_span_id(context.span_id),
    }


def _is_wanted(environment: Mapping[str, str]) -> bool:
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environment.get(_EXPORTER, "otlp").strip().lower()
    return any(environment.get(name) for name in _ENDPOINTS) and not (
        is_disabled or exporter == "none"
    )


def _provider(environment: Mapping[str, str], place: str, version: str) -> "TracerProvider":
    """Raises TracingError."""
    _check(environment)
    try:
        return _provider_of_sdk(place, version)
    except ValueError as error:  # some wrong variables the SDK replaces, and warns of them
        raise TracingError(f"Traces can't be sent as the OTEL_ variables ask: {error}") from error


def _check(environment: Mapping[str, str]) -> None:
    """Raises TracingError where the SDK would only log an error for each attempt, or nothing."""
    for name in _PROTOCOLS:
        if environment.get(name, _SPOKEN).strip() != _SPOKEN:
            raise TracingError(f"{name} must be {_SPOKEN}: the server speaks no other protocol")
    if environment.get(_EXPORTER, "otlp").strip().lower() != "otlp":
        raise TracingError(f"{_EXPORTER} must be otlp or none: the server has no other exporter")
    for name in _ENDPOINTS:
        if name in environment and not environment[name].strip().lower().startswith(_SCHEMES):
            raise TracingError(f"{name} must begin with http:// or https://")


def _provider_of_sdk(place: str, version: str) -> "TracerProvider":
    """Raises ValueError for a variable that the SDK does not accept."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = Resource.create(
        {"service.name": SERVICE, "service.version": version, "service.instance.id": place}
    )
    provider = TracerProvider(
        resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # for custom handlers
    return provider
