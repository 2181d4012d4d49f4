"""`/classes/{class_id}/students`: a class's roster."""

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import Transactions
from monitor.lms import enrolment, roster_csv
from monitor.lms.enrolment import Enrolment, Enrolments, RosterEntry, RosterLineUpdate


def declare(api: Api, *, is_open: bool) -> None:
    """`is_open` is whether the server has no credentials."""

    @api.operation("GET", "/classes/{class_id}/students", raises=(NotFound,))
    async def list_class_students(
        connection: Connection, class_id: Id, query: Page
    ) -> Listing[RosterEntry]:
        """The class's roster, in the order of user_id."""
        return await enrolment.list_roster(connection, class_id, query, is_open=is_open)

    @api.operation("POST", "/classes/{class_id}/students", status=201, raises=(NotFound,))
    async def enrol(
        transactions: Transactions,
        class_id: Id,
        body: Enrolment | Enrolments,
    ) -> RosterEntry | list[RosterEntry]:
        """Enrols one student, or an array of them; unknown user_ids become new students.

        Of an array either all are enrolled or nobody. Enrolling again changes the role; it lets in
        who is waiting, and brings back who was removed.
        """
        if isinstance(body, list):
            return await _enrol(transactions, class_id, body)
        (entry,) = await _enrol(transactions, class_id, [body])
        return entry

    @api.operation(
        "POST",
        "/classes/{class_id}/roster",
        status=201,
        raises=(NotFound,),
        body_media="text/csv",
    )
    async def upload_roster(
        transactions: Transactions, class_id: Id, body: bytes
    ) -> list[RosterEntry]:
        """Enrols the students of a CSV file: all of them or nobody.

        Its first line has the headings: `user_id` (学籍番号), and `name` (氏名), `email` (メール),
        `team` (チーム), `role` (役割) where there are any. In UTF-8 or Shift_JIS.
        """
        return await _enrol(transactions, class_id, roster_csv.parse(body))

    @api.operation("PUT", "/classes/{class_id}/students/{student_id}", raises=(NotFound,))
    async def update_class_student(
        connection: Connection, class_id: Id, student_id: Id, body: RosterLineUpdate
    ) -> RosterEntry:
        """Changes a line of the roster: name, email and team in this class, and the role."""
        return await enrolment.update(connection, class_id, student_id, body, is_open=is_open)

    @api.operation("DELETE", "/classes/{class_id}/students/{student_id}", raises=(NotFound,))
    async def remove_class_student(
        connection: Connection, class_id: Id, student_id: Id, caller: Principal
    ) -> RosterEntry:
        """Takes a student off the roster; what they did and handed in stays.

        The class's key does not bring them back; enrolling them does.
        """
        return await enrolment.remove(
            connection, class_id, student_id, caller.name, is_open=is_open
        )

    async def _enrol(
        transactions: Transactions, class_id: int, enrolments: list[Enrolment]
    ) -> list[RosterEntry]:
        """In two transactions: the pipeline creates students in another order."""
        async with transactions.begin(audited=False) as connection:
            by_id = await enrolment.ensure_students(connection, class_id, enrolments)
        async with transactions.begin() as connection:
            await enrolment.enrol(connection, class_id, by_id)
            return await enrolment.entries(connection, class_id, by_id, is_open=is_open)
