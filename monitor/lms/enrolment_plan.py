"""Plans an enrolment: what each row does to a class's roster, and which student it means."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import asyncpg

from monitor.auth.principal import Principal
from monitor.errors import Detail, InvalidBody
from monitor.lms.classes import CLASSES
from monitor.lms.enrolment import RosterEntry, all_entries, current_ids, user_ids_of
from monitor.lms.enrolment_report import (
    AbsentStudent,
    EnrolmentCounts,
    EnrolmentLine,
    EnrolmentReport,
    EnrolQuery,
    FieldChange,
    LookAlike,
    RoomSize,
    RosterFile,
    RosterRemark,
)
from monitor.lms.enrolment_rows import LINE_FIELDS, Enrolment, EnrolmentRows, key_of
from monitor.lms.look_alikes import Person, alike_in_file, find_look_alikes
from monitor.lms.seating import SeatHolder, check_seats, grown_room

_MAX_ABSENT = 1_000
_LEFT_OUT = frozenset({"title", "headings", "totals", "note", "test_student", "repeated"})


class EnrolmentPlan(NamedTuple):
    """What an enrolment does, and its rows, each as the student who is meant."""

    report: EnrolmentReport
    enrolments: EnrolmentRows


async def plan_enrolment(
    connection: asyncpg.Connection,
    class_id: int,
    enrolments: EnrolmentRows,
    query: EnrolQuery,
    caller: Principal,
    *,
    is_open: bool,
    file: RosterFile | None = None,
    remarks: Iterable[RosterRemark] = (),
) -> EnrolmentPlan:
    """Compares the rows with the roster and with the students whom the caller can see.

    It only reads. Raises NotFound, Unknown for an unknown student_id, and InvalidBody if two rows
    are of one student or of one seat, if a seat is that of somebody who keeps it, or where
    look-alikes are to be taken for known and there are several.
    """
    await CLASSES.get(connection, class_id)
    roster = {
        each.student_id: each for each in await all_entries(connection, class_id, is_open=is_open)
    }
    rows = enrolments.rows
    ids: dict[int, int | None] = dict(await _student_ids(connection, rows))
    sent = [row.student_id for row in rows.values() if row.student_id is not None]
    user_ids = await user_ids_of(connection, sent)
    new = {
        line: Person(user_ids.get(row.student_id or 0, row.user_id or ""), row.email)
        for line, row in rows.items()
        if ids[line] not in roster
    }
    known = await find_look_alikes(connection, class_id, new, roster, caller)
    if query.look_alikes == "known":
        rows = _as_known(rows, known, ids)
        enrolments = EnrolmentRows(rows, enrolments.noun)
        known = {}
    enrolments.check(ids)
    check_seats(enrolments, ids, _holders(roster.values()))
    in_file = await asyncio.to_thread(alike_in_file, new, rows, ids)
    lines = [
        _line(
            line,
            row,
            roster.get(ids[line] or 0),
            user_id=row.user_id or user_ids[row.student_id or 0],
            looks_like=_joined(known.get(line, []), in_file.get(line, []), ids),
        )
        for line, row in rows.items()
    ]
    report = _report(lines, _absent(roster, ids), query, file, list(remarks))
    if size := await grown_room(connection, class_id, enrolments):
        report.room = RoomSize(*size)
    return EnrolmentPlan(report, enrolments)


def _holders(roster: Iterable[RosterEntry]) -> Iterator[SeatHolder]:
    for each in roster:
        if each.seat is not None:
            yield SeatHolder(each.student_id, each.user_id, each.name, each.seat)


async def _student_ids(
    connection: asyncpg.Connection, rows: Mapping[int, Enrolment]
) -> dict[int, int | None]:
    ids = await current_ids(connection, rows.values())
    return {line: ids.get(key_of(row)) for line, row in rows.items()}


def _as_known(
    rows: Mapping[int, Enrolment], known: Mapping[int, list[LookAlike]], ids: dict[int, int | None]
) -> dict[int, Enrolment]:
    """The rows, of which those that look like a known student are theirs; `ids` follow.

    Raises InvalidBody where a row looks like several.
    """
    ambiguous = [line for line, similar in known.items() if len(similar) > 1]
    if ambiguous:
        raise InvalidBody(*(_ambiguous(line, known[line]) for line in ambiguous[:10]))
    changed = dict(rows)
    for line, (similar,) in known.items():
        ids[line] = similar.student_id
        fields = {name: getattr(rows[line], name) for name in LINE_FIELDS}
        changed[line] = Enrolment(user_id=similar.user_id, **fields)
    return changed


def _ambiguous(line: int, similar: list[LookAlike]) -> Detail:
    names = ", ".join(each.user_id for each in similar)
    reason = f"{line} looks like several students ({names}): write the id of the one who is meant"
    return Detail(("body", line), reason, "value_error")


def _joined(
    known: list[LookAlike], in_file: list[LookAlike], ids: Mapping[int, int | None]
) -> list[LookAlike]:
    """Both, a student who has a line of the file once, with this line."""
    lines = {ids[each.line or 0]: each.line for each in in_file if each.student_id is not None}
    for each in known:
        each.line = lines.get(each.student_id)
    shown = {each.line for each in known}
    return [*known, *(each for each in in_file if each.line not in shown)]


def _line(
    line: int,
    row: Enrolment,
    entry: RosterEntry | None,
    *,
    user_id: str,
    looks_like: list[LookAlike],
) -> EnrolmentLine:
    role = row.role or (entry.role if entry and entry.role != "waiting" else "student")
    after: dict[str, Any] = {
        name: getattr(row, name) or (getattr(entry, name) if entry else None)
        for name in LINE_FIELDS
    }
    after["role"] = role
    changes = [
        FieldChange(name, getattr(entry, name), after[name])
        for name in LINE_FIELDS
        if entry and getattr(entry, name) != after[name]
    ]
    return EnrolmentLine(
        line=line,
        outcome="new" if entry is None else "changed" if changes else "unchanged",
        user_id=user_id,
        student_id=entry.student_id if entry else None,
        changes=changes,
        looks_like=looks_like,
        **after,
    )


def _absent(
    roster: Mapping[int, RosterEntry], ids: Mapping[int, int | None]
) -> list[AbsentStudent]:
    enrolled = set(ids.values())
    return [
        AbsentStudent(entry.student_id, entry.user_id, entry.name, entry.role)
        for entry in roster.values()
        if entry.student_id not in enrolled and entry.role in ("student", "waiting")
    ]


def _report(
    lines: list[EnrolmentLine],
    absent: list[AbsentStudent],
    query: EnrolQuery,
    file: RosterFile | None,
    remarks: list[RosterRemark],
) -> EnrolmentReport:
    outcomes = Counter(each.outcome for each in lines)
    counts = EnrolmentCounts(
        new=outcomes["new"],
        changed=outcomes["changed"],
        unchanged=outcomes["unchanged"],
        look_alikes=sum(bool(each.looks_like) for each in lines),
        absent=len(absent),
        left_out=sum(each.remark in _LEFT_OUT for each in remarks),
    )
    return EnrolmentReport(
        dry_run=query.dry_run,
        counts=counts,
        file=file,
        lines=lines,
        absent=absent[:_MAX_ABSENT],
        remarks=remarks,
        room=None,
    )
