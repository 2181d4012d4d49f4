"""The messages that dashboards get about stored events."""

import uuid

import msgspec
from msgspec import UNSET, UnsetType

from monitor.events.event import Event
from monitor.events.types import status
from monitor.live.channels import channel, in_class
from monitor.live.history import Publication
from monitor.pipeline.class_choice import NO_CLASS
from monitor.pipeline.postgres import State, Stored
from monitor.pipeline.resolving import Resolved

_MAX_SHOWN = 50_000  # students and classes whose names are remembered


class ExecutionUpdate(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """The `data` of an `execution_update`.

    `executions` and `errors` are the student's totals in that class; `class_id` is null for none.
    `name` and `team`, as the class shows them, are there where they may be new.
    """

    event_id: uuid.UUID
    event_type: str
    user_id: str
    class_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_index: int | None
    status: str | None
    executions: int
    errors: int
    verified: bool
    name: str | UnsetType | None = UNSET
    team: str | UnsetType | None = UNSET


class Messages:
    """Makes a message per new event. `is_open` says whether the server has no credentials."""

    def __init__(self, is_open: bool) -> None:
        self._is_open = is_open
        self._shown: dict[tuple[int, int], tuple[str | None, str | None]] = {}

    def of(self, stored: Stored) -> list[Publication]:
        """The messages about a batch, in its order."""
        return [
            Publication(
                "execution_update",
                self._channels(event, resolved),
                resolved.at,
                self._update(event, resolved, stored.states[resolved.student, resolved.class_id]),
            )
            for event, resolved in zip(stored.events, stored.resolved, strict=True)
        ]

    def _update(self, event: Event, resolved: Resolved, state: State) -> ExecutionUpdate:
        update = ExecutionUpdate(
            event_id=event.id,
            event_type=event.type,
            user_id=event.student,
            class_id=resolved.class_id or None,
            notebook_path=event.notebook,
            cell_id=event.cell,
            cell_index=event.cell_index,
            status=status(event),
            executions=state.executions,
            errors=state.errors,
            verified=event.source.verified,
        )
        line, key = resolved.line, (resolved.student, resolved.class_id)
        name = line.name if line and line.name else state.name
        team = line.team if line and line.team else state.team
        if self._shown.get(key) != (name, team):
            update.name, update.team = name, team
            if len(self._shown) >= _MAX_SHOWN:
                self._shown.clear()
            self._shown[key] = (name, team)
        return update

    def _channels(self, event: Event, resolved: Resolved) -> list[str]:
        """Those of the student and, unless it changes nothing there, of the event's class."""
        own = channel("progress", event.student)
        names = [own, "progress:*"]
        if not resolved.disputed:
            for class_id in self._classes(resolved):
                names += (f"class:{class_id}", in_class(own, class_id))
        return names

    def _classes(self, resolved: Resolved) -> list[int]:
        if resolved.line and resolved.line.role == "student":
            return [resolved.class_id]
        if self._is_open and resolved.class_id == NO_CLASS:
            return resolved.attended
        return []
