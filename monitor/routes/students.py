"""Students."""

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.database.resource import InUse
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.lms import students
from monitor.lms.students import (
    STUDENTS,
    StudentCreate,
    StudentFilter,
    StudentResponse,
    StudentUpdate,
)


def declare(api: Api, database: Database) -> None:
    @api.operation("POST", "/students", status=201, raises=(InUse,))
    async def create_student(body: StudentCreate) -> StudentResponse:
        """Makes a student."""
        async with database.transaction() as connection:
            return await students.create(connection, body)

    @api.operation("GET", "/students")
    async def list_students(query: StudentFilter, caller: Principal) -> Listing[StudentResponse]:
        """Students, in the order in which they were made."""
        async with database.transaction() as connection:
            return await STUDENTS.find(connection, query, visible(STUDENTS.table, caller))

    @api.operation("GET", "/students/{student_id}", raises=(NotFound,))
    async def get_student(student_id: Id) -> StudentResponse:
        """A student."""
        async with database.transaction() as connection:
            return await STUDENTS.get(connection, student_id)

    @api.operation("PUT", "/students/{student_id}", raises=(NotFound,))
    async def update_student(student_id: Id, body: StudentUpdate) -> StudentResponse:
        """Changes a student: what is left out stays."""
        async with database.transaction() as connection:
            return await students.update(connection, student_id, body)

    @api.operation("DELETE", "/students/{student_id}", raises=(NotFound, Conflict))
    async def delete_student(student_id: Id) -> StudentResponse:
        """Deletes a student who has neither events nor submissions."""
        async with database.transaction() as connection:
            return await STUDENTS.delete(connection, student_id)
