"""Classes."""

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.database.resource import InUse, values
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.lms.classes import CLASSES, ClassCreate, ClassFilter, ClassResponse, ClassUpdate
from monitor.lms.enrolment import appoint


def declare(api: Api, database: Database) -> None:
    @api.operation("POST", "/classes", status=201, raises=(InUse,))
    async def create_class(body: ClassCreate, caller: Principal) -> ClassResponse:
        """Makes a class. An instructor who does is on its roster as its teacher."""
        async with database.transaction() as connection:
            made = await CLASSES.insert(connection, values(body))
            if caller.role == "instructor":
                await appoint(connection, made.id, caller.name)
            return made

    @api.operation("GET", "/classes")
    async def list_classes(query: ClassFilter, caller: Principal) -> Listing[ClassResponse]:
        """Classes, in the order in which they were made."""
        async with database.transaction() as connection:
            return await CLASSES.find(connection, query, visible(CLASSES.table, caller))

    @api.operation("GET", "/classes/{class_id}", raises=(NotFound,))
    async def get_class(class_id: Id) -> ClassResponse:
        """A class."""
        async with database.transaction() as connection:
            return await CLASSES.get(connection, class_id)

    @api.operation("PUT", "/classes/{class_id}", raises=(NotFound, InUse))
    async def update_class(class_id: Id, body: ClassUpdate) -> ClassResponse:
        """Changes a class: what is left out stays."""
        async with database.transaction() as connection:
            return await CLASSES.update(connection, class_id, values(body))

    @api.operation("DELETE", "/classes/{class_id}", raises=(NotFound, Conflict))
    async def delete_class(class_id: Id) -> ClassResponse:
        """Deletes a class and its roster, unless it has assignments."""
        async with database.transaction() as connection:
            return await CLASSES.delete(connection, class_id)
