"""`/ingest-keys`: what may post events, and nothing else."""

from collections.abc import Awaitable, Callable

from monitor.auth import keys as ingest_keys
from monitor.auth.keys import INGEST_KEYS, IngestKey, IngestKeyCreate, IngestKeyFilter, NewIngestKey
from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.errors import NotFound
from monitor.http.operations import Api


def declare(api: Api, database: Database, changed: Callable[[], Awaitable[None]]) -> None:
    """`changed` is called after a change, so that this replica knows of it at once."""

    @api.operation("POST", "/ingest-keys", status=201)
    async def create_ingest_key(body: IngestKeyCreate, caller: Principal) -> NewIngestKey:
        """Makes a key, for the extension's URL: `…/events?key=…`. It is shown this once.

        Who posts with the key of a class is enrolled in it.
        """
        async with database.transaction() as connection:
            made = await ingest_keys.create(connection, body, caller.name)
        await changed()
        return made

    @api.operation("GET", "/ingest-keys")
    async def list_ingest_keys(query: IngestKeyFilter, caller: Principal) -> Listing[IngestKey]:
        """Keys, those that no longer hold among them, without what is secret of them."""
        async with database.transaction() as connection:
            return await INGEST_KEYS.find(connection, query, visible(INGEST_KEYS.table, caller))

    @api.operation("POST", "/ingest-keys/{key_id}/rotate", status=201, raises=(NotFound,))
    async def rotate_ingest_key(key_id: Id, caller: Principal) -> NewIngestKey:
        """Makes a key in place of another, which holds for 24 hours more."""
        async with database.transaction() as connection:
            made = await ingest_keys.rotate(connection, key_id, caller.name)
        await changed()
        return made

    @api.operation("DELETE", "/ingest-keys/{key_id}", raises=(NotFound,))
    async def revoke_ingest_key(key_id: Id) -> IngestKey:
        """Revokes a key: within seconds no replica takes it any more."""
        async with database.transaction() as connection:
            revoked = await ingest_keys.revoke(connection, key_id)
        await changed()
        return revoked
