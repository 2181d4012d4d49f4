"""`/classes/{class_id}/students`: a class's roster."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import UNSET
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.responses import json_response
from monitor.http.snapshots import Snapshots
from monitor.http.transactions import AfterCommit, Transactions
from monitor.live.history import Publication
from monitor.lms import enrolment, rooms
from monitor.lms.enrolment import RosterEntry, RosterLineUpdate
from monitor.lms.enrolment_plan import EnrolmentPlan, plan_enrolment
from monitor.lms.enrolment_report import EnrolmentReport, EnrolQuery, RosterQuery
from monitor.lms.enrolment_rows import Enrolment, EnrolmentRows, Enrolments, check_ids
from monitor.lms.roster_files.file import ParsedRoster, parse
from monitor.routes.rooms import room_message

Publish = Callable[[Iterable[Publication]], None]

_PREVIEW = {200: EnrolmentReport}


def declare(api: Api, publish: Publish, *, is_open: bool) -> None:
    """`publish` sends messages to subscribers; `is_open`: the server has no credentials."""
    _declare_enrolments(api, publish, is_open=is_open)
    _declare_upload(api, publish, is_open=is_open)
    _declare_lines(api, publish, is_open=is_open)


async def _seats(
    connection: Connection, class_id: int, *, changed: bool = True
) -> list[Publication]:
    """What subscribers of the class are told when somebody has another seat."""
    return [room_message(class_id, await rooms.room(connection, class_id))] if changed else []


def _declare_enrolments(api: Api, publish: Publish, *, is_open: bool) -> None:
    @api.operation(
        "POST", "/classes/{class_id}/students", status=201, raises=(NotFound,), also=_PREVIEW
    )
    async def enrol(
        transactions: Transactions,
        snapshots: Snapshots,
        caller: Principal,
        class_id: Id,
        query: EnrolQuery,
        body: Enrolment | Enrolments,
    ) -> RosterEntry | list[RosterEntry] | Response:
        """Enrols one student, or an array of them; unknown user_ids become new students.

        Of an array either all are enrolled or nobody. Enrolling again changes what is sent, the
        role too; it lets in who is waiting, and brings back who was removed. With `dry_run` it
        changes nothing, and answers 200 with what would change.
        """
        rows = EnrolmentRows(dict(enumerate(body if isinstance(body, list) else [body])))
        check_ids(rows)
        plan = partial(
            plan_enrolment,
            class_id=class_id,
            enrolments=rows,
            query=query,
            caller=caller,
            is_open=is_open,
        )
        if query.dry_run:
            return json_response((await snapshots.read(plan, current=True)).report)
        async with transactions.begin(audited=False) as connection:
            if query.look_alikes == "known":
                rows = (await plan(connection)).enrolments
            ids = await enrolment.ensure_students(connection, class_id, rows)
        async with transactions.begin() as connection:
            await enrolment.enrol(connection, class_id, rows, ids)
            entries = await enrolment.entries(connection, class_id, ids.values(), is_open=is_open)
            transactions.add_detail(enrolled={each.user_id: each.role for each in entries})
            seats = await _seats(connection, class_id, changed=rows.have_seats())
        publish(seats)
        return entries if isinstance(body, list) else entries[0]


def _declare_upload(api: Api, publish: Publish, *, is_open: bool) -> None:
    turn = asyncio.Lock()  # one file at a time: more would add memory, and no speed

    @api.operation(
        "POST",
        "/classes/{class_id}/roster",
        status=201,
        raises=(NotFound,),
        body_media="text/csv",
        also=_PREVIEW,
    )
    async def upload_roster(
        transactions: Transactions,
        snapshots: Snapshots,
        caller: Principal,
        class_id: Id,
        query: RosterQuery,
        body: bytes,
    ) -> EnrolmentReport | Response:
        """Enrols the students of a CSV file, or of cells copied from a spreadsheet.

        All of them or nobody. Headings say what the columns are (`user_id` or 学籍番号, `number`,
        `name`, `kana`, `email`, `team`, `seat`, `role`, and those of the exports of Moodle, Canvas,
        Google Classroom and nbgrader); without headings they are guessed by content. In UTF-8,
        UTF-16, Shift_JIS, EUC-JP or ISO-2022-JP. The room of the class grows to have all seats.
        With `dry_run` it changes nothing, and answers 200 with what would change.
        """
        async with turn:
            parsed = await run_in_threadpool(
                parse,
                body,
                encoding=None if query.encoding is UNSET else query.encoding,
                id_column=None if query.id_column is UNSET else query.id_column,
            )
        plan = partial(_plan, parsed=parsed, class_id=class_id, query=query, caller=caller)
        if query.dry_run:
            return json_response((await snapshots.read(plan, current=True)).report)
        async with transactions.begin(audited=False) as connection:
            report, rows = await plan(connection)
            ids = await enrolment.ensure_students(connection, class_id, rows)
        async with transactions.begin() as connection:
            await enrolment.enrol(connection, class_id, rows, ids)
            transactions.add_detail(enrolled={line.user_id: line.role for line in report.lines})
            seats = await _seats(connection, class_id, changed=rows.have_seats())
        publish(seats)
        for line in report.lines:
            line.student_id = ids[line.line]
        return report

    async def _plan(
        connection: Connection,
        parsed: ParsedRoster,
        class_id: int,
        query: RosterQuery,
        caller: Principal,
    ) -> EnrolmentPlan:
        return await plan_enrolment(
            connection,
            class_id,
            parsed.enrolments,
            query,
            caller,
            is_open=is_open,
            file=parsed.file,
            remarks=parsed.remarks,
        )


def _declare_lines(api: Api, publish: Publish, *, is_open: bool) -> None:
    @api.operation("GET", "/classes/{class_id}/students", raises=(NotFound,))
    async def list_class_students(
        connection: Connection, class_id: Id, query: Page
    ) -> Listing[RosterEntry]:
        """The class's roster, in the order of user_id."""
        return await enrolment.list_roster(connection, class_id, query, is_open=is_open)

    @api.operation("PUT", "/classes/{class_id}/students/{student_id}", raises=(NotFound,))
    async def update_class_student(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        body: RosterLineUpdate,
    ) -> RosterEntry:
        """Changes a line of the roster: names, email, team, number and seat there, and the role."""
        entry = await enrolment.update(connection, class_id, student_id, body, is_open=is_open)
        seats = await _seats(connection, class_id, changed=body.seat is not UNSET)
        after_commit(partial(publish, seats))
        return entry

    @api.operation("DELETE", "/classes/{class_id}/students/{student_id}", raises=(NotFound,))
    async def remove_class_student(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        student_id: Id,
        caller: Principal,
    ) -> RosterEntry:
        """Takes a student off the roster; what they did and handed in stays.

        The class's key does not bring them back; enrolling them does.
        """
        entry = await enrolment.remove(
            connection, class_id, student_id, caller.name, is_open=is_open
        )
        seats = await _seats(connection, class_id, changed=entry.seat is not None)
        after_commit(partial(publish, seats))
        return entry
