"""`/rejected-events`: dead letters, to inspect, replay or delete."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Literal

import msgspec

from monitor.database import dead_letters
from monitor.database.dead_letters import DeadLetter
from monitor.database.paging import Id, Limit, Listing
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import Transactions
from monitor.pipeline.replay import ReplayFailed

Source = Literal["ingest", "handler", "influxdb"]


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filters dead letters; `before` is the id of the last one on the page before."""

    source: Annotated[Source, msgspec.Meta(description="The stage that rejected it")] | None = None
    before: Id | None = None
    limit: Limit = 100


class Replayed(msgspec.Struct):
    """The outcome of a replay."""

    id: int
    outcome: str


def declare(api: Api, replay: Callable[[DeadLetter], Awaitable[str]]) -> None:
    """`replay` retries a dead letter and returns the outcome; it raises ReplayFailed."""

    @api.operation("GET", "/rejected-events")
    async def list_rejected_events(
        connection: Connection, query: DeadLetterFilter
    ) -> Listing[DeadLetter]:
        """Items that could not be stored, handled or written to InfluxDB, the latest first."""
        return await dead_letters.page(connection, query.source, query.before, query.limit)

    @api.operation("POST", "/rejected-events/{letter_id}/replay", raises=(NotFound, ReplayFailed))
    async def replay_rejected_event(transactions: Transactions, letter_id: Id) -> Replayed:
        """Tries it again, and removes it when that succeeds."""
        async with transactions.begin() as connection:  # audited even if it fails halfway
            letter = await dead_letters.get(connection, letter_id)
        outcome = await replay(letter)
        if letter.source != "handler":  # the handler's own transaction has removed that one
            async with transactions.begin(audited=False) as connection:
                with suppress(NotFound):  # removed by a call at the same time
                    await dead_letters.remove(connection, letter_id)
        return Replayed(letter_id, outcome)

    @api.operation("DELETE", "/rejected-events/{letter_id}", raises=(NotFound,))
    async def delete_rejected_event(connection: Connection, letter_id: Id) -> DeadLetter:
        """Discards it."""
        return await dead_letters.remove(connection, letter_id)
