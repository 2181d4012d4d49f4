"""`/audit`: what people with power did."""

from monitor.database import Database
from monitor.listing import Listing, Page
from monitor.principal import Principal
from monitor.routes.operations import Api
from monitor.security.audit import AUDIT, AuditEntry


def declare(api: Api, database: Database) -> None:
    @api.operation("GET", "/audit")
    async def list_audit(query: Page, caller: Principal) -> Listing[AuditEntry]:
        """What instructors and administrators changed, in the order in which they did."""
        async with database.transaction() as connection:
            return await AUDIT.find(connection, query, caller)
