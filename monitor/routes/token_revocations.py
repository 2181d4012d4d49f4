"""`/token-revocations`: people whose tokens are refused before they expire."""

from collections.abc import Awaitable, Callable

from monitor.auth import revocations
from monitor.auth.principal import Principal
from monitor.auth.revocations import TOKEN_REVOCATIONS, TokenRevocation, TokenRevocationCreate
from monitor.auth.visibility import visible
from monitor.database.paging import Listing, Page
from monitor.database.pool import Connection
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit


def declare(api: Api, reload: Callable[[], Awaitable[None]]) -> None:
    """`reload` is called after a change, so that it applies to this replica at once."""

    @api.operation("POST", "/token-revocations", status=201)
    async def revoke_tokens(
        connection: Connection,
        after_commit: AfterCommit,
        body: TokenRevocationCreate,
        caller: Principal,
    ) -> TokenRevocation:
        """Revokes all tokens (JWT) of a person that were issued before now.

        Within seconds no replica accepts them, and their open sockets are closed within 20 s more.
        Tokens issued later are accepted, if they say when that was (`iat`).
        """
        after_commit(reload)
        return await revocations.revoke(connection, body.user_id, caller.name)

    @api.operation("GET", "/token-revocations")
    async def list_token_revocations(
        connection: Connection, query: Page, caller: Principal
    ) -> Listing[TokenRevocation]:
        """Whose tokens were revoked, and when the last time."""
        return await TOKEN_REVOCATIONS.find(
            connection, query, visible(TOKEN_REVOCATIONS.table, caller)
        )
