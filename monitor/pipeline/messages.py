"""What the dashboards are told of stored events."""

import uuid
from collections.abc import Iterator

import msgspec

from monitor.pipeline.handlers import status
from monitor.pipeline.hub import Outgoing
from monitor.pipeline.postgres import Stored

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


def execution_updates(stored: Stored) -> Iterator[Outgoing]:
    """One message for each new event, on the channels of its student and the student's classes."""
    channels = {
        student: [
            f"progress:{student.translate(_ESCAPES)}",
            "progress:*",
            *(f"class:{class_id}" for class_id in totals.classes),
        ]
        for student, totals in stored.totals.items()
    }
    for event in stored.events:
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
        yield Outgoing("execution_update", channels[event.student], event.happened_at, data)
