"""What the dashboards are told of stored events."""

import uuid
from collections.abc import Callable, Iterator

import msgspec

from monitor.pipeline.handlers import status
from monitor.pipeline.hub import Outgoing
from monitor.pipeline.postgres import Stored, Totals

# A student may be called `*` or `a,b`; the channels of `progress:*` and `?channels=a,b` may not.
_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "*": "%2A"})


class ExecutionUpdate(msgspec.Struct, rename="camel"):
    """The `data` of an `execution_update`. `executions` and `errors` are the student's totals."""

    event_id: uuid.UUID
    event_type: str
    user_id: str
    notebook_path: str | None
    cell_id: str | None
    status: str | None
    executions: int
    errors: int


def execution_updates(stored: Stored, hears: Callable[[list[str]], bool]) -> Iterator[Outgoing]:
    """One message for each new event whose student's or classes' channels somebody hears."""
    channels = {student: _channels(student, totals) for student, totals in stored.totals.items()}
    heard = {student: names for student, names in channels.items() if hears(names)}
    for event in stored.events if heard else ():
        if names := heard.get(event.student):
            totals = stored.totals[event.student]
            data = ExecutionUpdate(
                event.id,
                event.type,
                event.student,
                event.notebook,
                event.cell,
                status(event),
                totals.executions,
                totals.errors,
            )
            yield Outgoing("execution_update", names, event.time, data)


def channel(kind: str, student: str) -> str:
    """A student's channel of that kind."""
    return f"{kind}:{student.translate(_ESCAPES)}"


def _channels(student: str, totals: Totals) -> list[str]:
    classes = [f"class:{class_id}" for class_id in totals.classes]
    return [channel("progress", student), "progress:*", *classes]
