"""InfluxDB's line protocol: the point of an event."""

from datetime import UTC, datetime, timedelta

from monitor.events import Event
from monitor.pipeline.handlers import status

MEASUREMENT = "student_progress"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\n", "\r": r"\r"})
_STRING_ESCAPES = str.maketrans({'"': r"\"", "\\": r"\\"})


def line(event: Event) -> str:
    """The event's point in line protocol, without its newline; time in ns.

    The time is the event's in ms, and below that nanoseconds that follow from its id: two events of
    one millisecond stay two points, and a point that is written again meets itself.
    """
    tags = {
        "cellType": event.cell_type,
        "event": event.type,
        "notebook": event.notebook and event.notebook.rpartition("/")[2],
        "sessionId": event.session,
        "userId": event.student,
    }
    series = "".join(f",{name}={tag}" for name, value in tags.items() if (tag := _tag(value)))
    fields = f"notebookPath={_string(event.notebook or '')}"
    if event.cell:
        fields += f",cellId={_string(event.cell)}"
    if event.execution_count is not None:
        fields += f",executionCount={event.execution_count}i"
    if (outcome := status(event)) in ("success", "error"):
        fields += f",success={'true' if outcome == 'success' else 'false'}"
    if event.duration_ms is not None:
        fields += f",duration={event.duration_ms!r}"
    time = (event.time - _EPOCH) // _MILLISECOND * 1_000_000 + event.id.int % 1_000_000
    return f"{MEASUREMENT}{series} {fields} {time}"


def _tag(value: str | None) -> str:
    # Line protocol has no way to end a tag with a backslash: it would escape what follows.
    return value.translate(_TAG_ESCAPES).rstrip("\\") if value else ""


def _string(value: str) -> str:
    return f'"{value.translate(_STRING_ESCAPES)}"'
