"""`/audit`: what people with power did."""

from monitor.auth.audit import AUDIT, AuditEntry
from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Listing, Page
from monitor.database.pool import Database
from monitor.http.operations import Api


def declare(api: Api, database: Database) -> None:
    @api.operation("GET", "/audit")
    async def list_audit(query: Page, caller: Principal) -> Listing[AuditEntry]:
        """What instructors and administrators changed, in the order in which they did."""
        async with database.transaction() as connection:
            return await AUDIT.find(connection, query, visible(AUDIT.table, caller))
