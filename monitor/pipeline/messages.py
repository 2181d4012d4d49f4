"""What the dashboards are told of stored events."""

import uuid

import msgspec

from monitor.pipeline.handlers import status
from monitor.pipeline.history import Outgoing
from monitor.pipeline.postgres import Stored, Totals

# A student may be called `*` or `a,b`; the channels of `progress:*` and `?channels=a,b` may not.
_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "*": "%2A"})


class ExecutionUpdate(msgspec.Struct, rename="camel", gc=False):
    """The `data` of an `execution_update`. `executions` and `errors` are the student's totals."""

    event_id: uuid.UUID
    event_type: str
    user_id: str
    notebook_path: str | None
    cell_id: str | None
    status: str | None
    executions: int
    errors: int


def execution_updates(stored: Stored) -> list[Outgoing]:
    """One message for each new event, on its student's and their classes' channels."""
    channels = {student: _channels(student, totals) for student, totals in stored.totals.items()}
    return [
        Outgoing(
            "execution_update",
            channels[event.student],
            event.time,
            ExecutionUpdate(
                event.id,
                event.type,
                event.student,
                event.notebook,
                event.cell,
                status(event),
                stored.totals[event.student].executions,
                stored.totals[event.student].errors,
            ),
        )
        for event in stored.events
    ]


def channel(kind: str, student: str) -> str:
    """A student's channel of that kind."""
    return f"{kind}:{student.translate(_ESCAPES)}"


def _channels(student: str, totals: Totals) -> list[str]:
    classes = [f"class:{class_id}" for class_id in totals.classes]
    return [channel("progress", student), "progress:*", *classes]
