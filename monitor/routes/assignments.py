"""Assignments."""

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.database.resource import values
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.lms.assignments import (
    ASSIGNMENTS,
    AssignmentFilter,
    ClassAssignmentCreate,
    ClassAssignmentResponse,
    ClassAssignmentUpdate,
)


def declare(api: Api, database: Database) -> None:
    @api.operation("POST", "/assignments", status=201)
    async def create_assignment(body: ClassAssignmentCreate) -> ClassAssignmentResponse:
        """Makes an assignment."""
        async with database.transaction() as connection:
            return await ASSIGNMENTS.insert(connection, values(body))

    @api.operation("GET", "/assignments")
    async def list_assignments(
        query: AssignmentFilter, caller: Principal
    ) -> Listing[ClassAssignmentResponse]:
        """Assignments, in the order in which they were made."""
        async with database.transaction() as connection:
            return await ASSIGNMENTS.find(connection, query, visible(ASSIGNMENTS.table, caller))

    @api.operation("GET", "/assignments/{assignment_id}", raises=(NotFound,))
    async def get_assignment(assignment_id: Id) -> ClassAssignmentResponse:
        """An assignment."""
        async with database.transaction() as connection:
            return await ASSIGNMENTS.get(connection, assignment_id)

    @api.operation("PUT", "/assignments/{assignment_id}", raises=(NotFound,))
    async def update_assignment(
        assignment_id: Id, body: ClassAssignmentUpdate
    ) -> ClassAssignmentResponse:
        """Changes an assignment: what is left out stays."""
        async with database.transaction() as connection:
            return await ASSIGNMENTS.update(connection, assignment_id, values(body))

    @api.operation("DELETE", "/assignments/{assignment_id}", raises=(NotFound, Conflict))
    async def delete_assignment(assignment_id: Id) -> ClassAssignmentResponse:
        """Deletes an assignment that has no submissions."""
        async with database.transaction() as connection:
            return await ASSIGNMENTS.delete(connection, assignment_id)
