"""`/audit`: what instructors and administrators did."""

from monitor.auth.audit import AUDIT, AuditEntry
from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.http.operations import Api


def declare(api: Api) -> None:
    @api.operation("GET", "/audit")
    async def list_audit(
        connection: Connection, query: Page, caller: Principal
    ) -> Listing[AuditEntry]:
        """What instructors and administrators changed, in the order in which they did."""
        return await AUDIT.find(connection, query, visible(AUDIT.table, caller))
