"""InfluxDB's line protocol: the point of an event."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from monitor.events.event import Event
from monitor.events.types import status

MEASUREMENT = "student_progress"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\n", "\r": r"\r"})
_USER = re.compile(r",userId=((?:\\[,= ]|[^,= ])+) ")  # the last of the tags
_STRING_ESCAPES = str.maketrans({'"': r"\"", "\\": r"\\"})


class PointKey(NamedTuple):
    """What identifies an event's point: two tags, as events have them, and its time in ns."""

    student: str
    event_type: str
    time: int


def line(event: Event) -> str:
    """The event's point in line protocol, without its newline."""
    ran = status(event) in ("success", "error")
    return point(
        event_id=event.id,
        event_type=event.type,
        time=event.time,
        student=event.student,
        session=event.session,
        notebook=event.notebook or _in_metadata(event, "notebookPath"),
        cell=event.cell or _in_metadata(event, "cellId"),
        cell_type=event.cell_type,
        execution_count=event.execution_count if ran else None,
        outcome=status(event) if ran else None,
        duration_ms=event.duration_ms if ran else None,
    )


def _in_metadata(event: Event, name: str) -> str | None:
    """A text of the metadata, which may stand in for a field: a row may have the field only there.

    Whether the client put it there does not show in the row.
    """
    if f'"{name}"' not in event.metadata:
        return None
    value = msgspec.json.decode(event.metadata).get(name)
    return value if isinstance(value, str) else None


def point(
    *,
    event_id: uuid.UUID,
    event_type: str,
    time: datetime,
    student: str,
    session: str | None,
    notebook: str | None,
    cell: str | None,
    cell_type: str | None,
    execution_count: int | None,
    outcome: str | None,
    duration_ms: float | None,
) -> str:
    """A point of `student_progress`; its time is in ns, `duration_ms` in ms.

    `outcome` is the status of an execution that ended (`success` or `error`), or None.
    """
    tags = {
        "cellType": cell_type,
        "event": event_type,
        "notebook": notebook and notebook.rpartition("/")[2],
        "sessionId": session,
        "userId": student,
    }
    series = "".join(f",{name}={tag}" for name, value in tags.items() if (tag := _tag(value)))
    fields = f"notebookPath={_string(notebook or '')}"
    if cell:
        fields += f",cellId={_string(cell)}"
    if execution_count is not None:
        fields += f",executionCount={execution_count}i"
    if outcome:
        fields += f",success={'true' if outcome == 'success' else 'false'}"
    if duration_ms is not None:
        fields += f",duration={duration_ms!r}"
    return f"{MEASUREMENT}{series} {fields} {point_time(time, event_id)}"


def point_time(time: datetime, event_id: uuid.UUID) -> int:
    """The time of an event's point, in ns since 1970.

    That is the event's time in ms, and below that nanoseconds derived from its id: two events
    of one millisecond stay two points, and rewriting a point overwrites it.
    """
    return (time - _EPOCH) // _MILLISECOND * 1_000_000 + event_id.int % 1_000_000


def key_of(line: str) -> tuple[str, int]:
    """The student of a point, by the tag `userId`, and its time in ns."""
    user = _USER.search(line)
    return re.sub(r"\\([,= ])", r"\1", user[1]) if user else "", int(line.rpartition(" ")[2])


def stored_tag(value: str) -> str:
    """A tag's value as InfluxDB has it, which is not quite as `point` was given it."""
    return value.replace("\n", r"\n").replace("\r", r"\r").rstrip("\\")


def _tag(value: str | None) -> str:
    # A tag can't end with a backslash in line protocol: it would escape the next character.
    return value.translate(_TAG_ESCAPES).rstrip("\\") if value else ""


def _string(value: str) -> str:
    return f'"{value.translate(_STRING_ESCAPES)}"'
