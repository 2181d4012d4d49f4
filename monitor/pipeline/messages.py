"""The messages that dashboards get about stored events."""

import uuid

import msgspec

from monitor.events.types import status
from monitor.live.channels import channel
from monitor.live.history import Publication
from monitor.pipeline.postgres import Stored, Totals


class ExecutionUpdate(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """The `data` of an `execution_update`. `executions` and `errors` are the student's totals."""

    event_id: uuid.UUID
    event_type: str
    user_id: str
    notebook_path: str | None
    cell_id: str | None
    cell_index: int | None
    status: str | None
    executions: int
    errors: int


def execution_updates(stored: Stored) -> list[Publication]:
    """A message per new event, on the channels of its student and the student's classes."""
    channels = {student: _channels(student, totals) for student, totals in stored.totals.items()}
    return [
        Publication(
            "execution_update",
            channels[event.student],
            event.time,
            ExecutionUpdate(
                event_id=event.id,
                event_type=event.type,
                user_id=event.student,
                notebook_path=event.notebook,
                cell_id=event.cell,
                cell_index=event.cell_index,
                status=status(event),
                executions=stored.totals[event.student].executions,
                errors=stored.totals[event.student].errors,
            ),
        )
        for event in stored.events
    ]


def _channels(student: str, totals: Totals) -> list[str]:
    classes = [f"class:{class_id}" for class_id in totals.classes]
    return [channel("progress", student), "progress:*", *classes]
