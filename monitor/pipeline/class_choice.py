"""Decides the class of an event by the six rules; see docs/classes.md.

Pure functions: rosters in, classes out.
"""

from typing import NamedTuple

import msgspec

from monitor.events.event import NO_CLASS, Event, Source


class Member(NamedTuple):
    """A line of a class's roster. `role` is student, assistant, teacher or waiting.

    `name` is that of the line or, without one, of the student's record; `team` that of the line.
    `record_team` only counts where events claim none.
    """

    role: str
    is_active: bool
    name: str | None = None
    team: str | None = None
    record_team: str | None = None


class Place(msgspec.Struct, frozen=True, gc=False):
    """The student and the class of an event.

    A `disputed` event is only claimed for a student whose own credential lives in that class: it is
    stored, no more than that. `line` is the student's line on the class's roster. `attended` are
    the classes that the student attends, with their lines, where the event has none. `columns` are
    those that every row of the place and its source has: the class, the credential, and whether it
    is verified.
    """

    student: int
    class_id: int
    disputed: bool = False
    line: Member | None = None
    attended: tuple[tuple[int, Member], ...] = ()
    columns: tuple[int, str | None, bool] = (NO_CLASS, None, False)


class Rosters(msgspec.Struct):
    """What the decision depends on.

    `members` are the lines of each student by class, `codes` the ids of the classes that events
    name, None for those that don't exist. `handed_out` are the classes that have handed out a
    notebook, by student and path; `verified` the students and classes in which a student's own
    credential lives.
    """

    members: dict[int, dict[int, Member]]
    codes: dict[str, int | None] = {}
    handed_out: dict[tuple[int, str], list[int]] = {}
    verified: set[tuple[int, int]] = set()

    def role(self, student: int, class_id: int) -> str | None:
        """The student's role in a class; None if they are not on its roster."""
        member = self.members.get(student, _NOWHERE).get(class_id)
        return member.role if member else None


_NOWHERE: dict[int, Member] = {}


def is_class_key(source: Source) -> bool:
    """Whether the credential is a key of a class, which all of its students share."""
    return source.class_id is not None and source.student is None


def class_of(event: Event, student: int, rosters: Rosters) -> int:
    """The class of an event, or NO_CLASS."""
    lines = rosters.members.get(student)
    if not lines:
        return NO_CLASS
    source = event.source
    if is_class_key(source):
        is_taken = source.class_id in lines and not names_another(event, rosters)
        return source.class_id or NO_CLASS if is_taken else NO_CLASS
    if event.class_code or source.class_code:
        for code in (event.class_code, source.class_code):
            named = rosters.codes.get(code) if code else None
            if named is not None and rosters.role(student, named) not in (None, "waiting"):
                return named
    classes = attended(lines)
    if event.notebook:
        handing_out = rosters.handed_out.get((student, event.notebook), ())
        if len(handing_out) == 1:
            return handing_out[0]
    if source.class_id is not None and source.class_id in classes:
        return source.class_id
    active = [class_id for class_id in classes if lines[class_id].is_active]
    return active[0] if len(active) == 1 else NO_CLASS


def names_another(event: Event, rosters: Rosters) -> bool:
    """Whether an event names another class than that of the key that it was sent with."""
    code, own = event.class_code or event.source.class_code, event.source.class_id
    return code is not None and rosters.codes.get(code) not in (None, own)


def place_of(event: Event, student: int, rosters: Rosters) -> Place:
    """Where an event belongs."""
    class_id, source = class_of(event, student, rosters), event.source
    lines = rosters.members.get(student, _NOWHERE)
    return Place(
        student,
        class_id,
        disputed=not source.verified and (student, class_id) in rosters.verified,
        line=lines.get(class_id),
        attended=() if class_id else tuple((each, lines[each]) for each in attended(lines)),
        columns=(class_id, source.credential, source.verified),
    )


def attended(lines: dict[int, Member]) -> list[int]:
    """The classes among a student's lines that they attend as a student."""
    return [class_id for class_id, line in lines.items() if line.role == "student"]


def depends_on_notebook(student: int, rosters: Rosters) -> bool:
    """Whether the class of a student's events may depend on who has handed out their notebook."""
    lines = rosters.members.get(student, _NOWHERE)
    classes = attended(lines)
    return len(classes) > 1 or any(not lines[class_id].is_active for class_id in classes)
