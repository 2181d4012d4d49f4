"""`/rejected-events`: dead letters, to inspect, replay or delete."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database import dead_letters
from monitor.database.dead_letters import DeadLetter, DeadLetterFilter, KeptLetter
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import Transactions
from monitor.pipeline.replay import REMOVED_BY_REPLAY, ReplayFailed


class Replayed(msgspec.Struct):
    """The outcome of a replay."""

    id: int
    outcome: str


def declare(api: Api, replay: Callable[[KeptLetter], Awaitable[str]]) -> None:
    """`replay` retries a dead letter and returns the outcome; it raises ReplayFailed."""

    @api.operation("GET", "/rejected-events")
    async def list_rejected_events(
        connection: Connection, query: DeadLetterFilter, caller: Principal
    ) -> Listing[DeadLetter]:
        """Items that could not be stored, handled or written to InfluxDB, or that were withdrawn.

        The latest first.
        """
        return await dead_letters.page(connection, query, visible("rejected_events", caller))

    @api.operation("POST", "/rejected-events/{letter_id}/replay", raises=(NotFound, ReplayFailed))
    async def replay_rejected_event(transactions: Transactions, letter_id: Id) -> Replayed:
        """Tries it again, and removes it when that succeeds."""
        async with transactions.begin() as connection:  # audited even if it fails halfway
            kept = await dead_letters.get(connection, letter_id)
        outcome = await replay(kept)
        if kept.letter.source not in REMOVED_BY_REPLAY:
            async with transactions.begin(audited=False) as connection:
                with suppress(NotFound):  # removed by a call at the same time
                    await dead_letters.remove(connection, letter_id)
        return Replayed(letter_id, outcome)

    @api.operation("DELETE", "/rejected-events/{letter_id}", raises=(NotFound,))
    async def delete_rejected_event(connection: Connection, letter_id: Id) -> DeadLetter:
        """Discards it. What was withdrawn stays withdrawn then."""
        return await dead_letters.remove(connection, letter_id)
