"""`/me`: what is stored of a student, for themselves."""

from functools import partial

from monitor.auth.principal import Principal
from monitor.database.paging import Listing, Page
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.snapshots import Snapshots
from monitor.insight.me import Me, MyAssignment, me, my_assignments


def declare(api: Api) -> None:
    @api.operation("GET", "/me", raises=(NotFound,))
    async def get_me(snapshots: Snapshots, caller: Principal) -> Me:
        """What is stored of the caller, a student: their record, and their state in each class."""
        return await snapshots.read(partial(me, user_id=caller.name))

    @api.operation("GET", "/me/assignments")
    async def get_my_assignments(
        snapshots: Snapshots, query: Page, caller: Principal
    ) -> Listing[MyAssignment]:
        """The caller's assignments, as a student, with progress, latest submission and grade."""
        read = partial(my_assignments, user_id=caller.name, page=query)
        return await snapshots.read(read, counted=True)
