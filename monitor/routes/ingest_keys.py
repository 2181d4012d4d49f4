"""`/ingest-keys`: credentials that post events and do nothing else."""

from collections.abc import Awaitable, Callable

from monitor.auth import keys as ingest_keys
from monitor.auth.keys import INGEST_KEYS, IngestKey, IngestKeyCreate, IngestKeyFilter, NewIngestKey
from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit


def declare(api: Api, reload: Callable[[], Awaitable[None]]) -> None:
    """`reload` is called after a change, so that it applies to this replica at once."""

    @api.operation("POST", "/ingest-keys", status=201)
    async def create_ingest_key(
        connection: Connection, after_commit: AfterCommit, body: IngestKeyCreate, caller: Principal
    ) -> NewIngestKey:
        """Makes a key, for the extension's URL: `…/events?key=…`. It is shown this once.

        Students who post with the key of a class are enrolled in it.
        """
        after_commit(reload)
        return await ingest_keys.create(connection, body, caller.name)

    @api.operation("GET", "/ingest-keys")
    async def list_ingest_keys(
        connection: Connection, query: IngestKeyFilter, caller: Principal
    ) -> Listing[IngestKey]:
        """Keys without their secrets, including those no longer valid."""
        return await INGEST_KEYS.find(connection, query, visible(INGEST_KEYS.table, caller))

    @api.operation("POST", "/ingest-keys/{key_id}/rotate", status=201, raises=(NotFound,))
    async def rotate_ingest_key(
        connection: Connection, after_commit: AfterCommit, key_id: Id, caller: Principal
    ) -> NewIngestKey:
        """Makes a key that replaces another, which works for 24 hours more."""
        after_commit(reload)
        return await ingest_keys.rotate(connection, key_id, caller.name)

    @api.operation("DELETE", "/ingest-keys/{key_id}", raises=(NotFound,))
    async def revoke_ingest_key(
        connection: Connection, after_commit: AfterCommit, key_id: Id
    ) -> IngestKey:
        """Revokes a key: within seconds no replica accepts it."""
        after_commit(reload)
        return await ingest_keys.revoke(connection, key_id)
