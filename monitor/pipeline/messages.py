"""The messages that dashboards get about stored events."""

import re
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from monitor.events.types import status
from monitor.live.channels import channel, in_class
from monitor.live.history import Publication
from monitor.pipeline.class_choice import Member, Place
from monitor.pipeline.postgres import State, Stored

_MAX_SHOWN = 50_000  # places, and students and classes, whose names are remembered


class ExecutionUpdate(msgspec.Struct, rename="camel", gc=False):
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


class _Audience(NamedTuple):
    """Who gets the messages about a place, which is kept so that its id stays its own.

    `claimed` are the name and the team that the student's state had when this was made.
    """

    place: Place
    channels: list[str]
    class_id: int | None
    claimed: tuple[str | None, str | None]


class Messages:
    """Makes a message per new event. `is_open` says whether the server has no credentials."""

    def __init__(self, is_open: bool) -> None:
        self._is_open = is_open
        self._audiences: dict[int, _Audience] = {}  # by the id of the place
        self._shown: dict[tuple[int, int], _Names] = {}

    def of(self, stored: Stored) -> list[Publication]:
        """The messages about a batch, in its order."""
        of_batch: dict[int, tuple[list[str], int | None, int, int]] = {}
        messages = []
        for event, resolved in zip(stored.events, stored.resolved, strict=True):
            place = resolved.place
            common, names = of_batch.get(id(place)), None
            if common is None:
                state = stored.states[place.student, place.class_id]
                audience = self._audiences.get(id(place))
                if audience is None or audience.claimed != (state.name, state.team):
                    audience = self._audience(event.student, place, state)
                    names = self._new_names(place, state)
                common = audience.channels, audience.class_id, state.executions, state.errors
                of_batch[id(place)] = common
            channels, class_id, executions, errors = common
            update = ExecutionUpdate(  # by position: keywords take 0.1 µs longer
                event.id,
                event.type,
                event.student,
                class_id,
                event.notebook,
                event.cell,
                event.cell_index,
                status(event),
                executions,
                errors,
                event.source.verified,
            )
            if names:
                update.name, update.team = names
            messages.append(Publication("execution_update", channels, resolved.at, update))
        return messages

    def _audience(self, user_id: str, place: Place, state: State) -> _Audience:
        if len(self._audiences) >= _MAX_SHOWN:
            self._audiences.clear()
        self._audiences[id(place)] = audience = _Audience(
            place, self._channels(user_id, place), place.class_id or None, (state.name, state.team)
        )
        return audience

    def _new_names(self, place: Place, state: State) -> "_Names | None":
        """The student's name and team as the class shows them, if they may be new.

        What was done in no class is for several classes: they may show different ones.
        """
        attended = {_names(line, state) for _, line in place.attended}
        names, *others = attended or {_names(place.line, state)}
        key = (place.student, place.class_id)
        if others or self._shown.get(key) == names:
            return None
        if len(self._shown) >= _MAX_SHOWN:
            self._shown.clear()
        self._shown[key] = names
        return names

    def _channels(self, user_id: str, place: Place) -> list[str]:
        """Those of the student and, unless it changes nothing there, of the event's class."""
        own = channel("progress", user_id)
        names = [own, "progress:*"]
        if not place.disputed:
            for class_id in self._classes(place):
                names += (f"class:{class_id}", in_class(own, class_id))
        return names

    def _classes(self, place: Place) -> Sequence[int]:
        if place.line and place.line.role == "student":
            return (place.class_id,)
        return [class_id for class_id, _ in place.attended] if self._is_open else ()


@lru_cache(10_000)
def shown(name: str | None) -> str | None:
    """None if the name has no visible character; the function `shown` of the schema in Python."""
    return name if name and _VISIBLE.search(name) else None


# Not a space, a control character, or one that shows nothing.
_VISIBLE = re.compile(
    r"[^\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)


class _Names(NamedTuple):
    """The name and the team of a student."""

    name: str | None
    team: str | None


def _names(line: Member | None, state: State) -> _Names:
    """As a class with that line on its roster shows them."""
    name, team = shown(state.name), shown(state.team)
    if line is None:
        return _Names(name, team)
    return _Names(line.name or name, line.team or team or line.record_team)
