"""`/classes/{class_id}/students`: who is in a class."""

from monitor.auth.principal import Principal
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Database
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.lms import enrolment, roster_csv
from monitor.lms.enrolment import Enrolment, Enrolments, RosterEntry


def declare(api: Api, database: Database) -> None:
    @api.operation("GET", "/classes/{class_id}/students", raises=(NotFound,))
    async def list_class_students(class_id: Id, query: Page) -> Listing[RosterEntry]:
        """The class's roster, in the order of user_id."""
        async with database.transaction() as connection:
            return await enrolment.list_roster(connection, class_id, query)

    @api.operation("POST", "/classes/{class_id}/students", status=201, raises=(NotFound,))
    async def enrol(
        class_id: Id, body: Enrolment | Enrolments, caller: Principal
    ) -> RosterEntry | list[RosterEntry]:
        """Enrols one student, or an array of them; those who aren't known by user_id are made.

        Of an array either all are enrolled or nobody. Enrolling again changes the role. Who is in
        another teacher's class is `pending` until an administrator enrols them.
        """
        if isinstance(body, list):
            return await enrolment.enrol(database, class_id, body, caller)
        (entry,) = await enrolment.enrol(database, class_id, [body], caller)
        return entry

    @api.operation(
        "POST",
        "/classes/{class_id}/roster",
        status=201,
        raises=(NotFound,),
        body_media="text/csv",
    )
    async def upload_roster(class_id: Id, body: bytes, caller: Principal) -> list[RosterEntry]:
        """Enrols the students of a CSV file: all of them or nobody.

        Its first line has the headings: `user_id` (学籍番号), and `name` (氏名), `email` (メール),
        `team` (チーム), `role` (役割) where there are any. In UTF-8 or Shift_JIS.
        """
        return await enrolment.enrol(database, class_id, roster_csv.parse(body), caller)

    @api.operation("DELETE", "/classes/{class_id}/students/{student_id}", raises=(NotFound,))
    async def remove_class_student(class_id: Id, student_id: Id) -> RosterEntry:
        """Takes a student off the roster; what they did and handed in stays."""
        async with database.transaction() as connection:
            return await enrolment.remove(connection, class_id, student_id)
