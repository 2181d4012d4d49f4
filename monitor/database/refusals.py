"""Writes down what classes turned away; `monitor.lms.refusals` reads it."""

from collections.abc import Mapping

import asyncpg

# Numbers of events by class, and by who sent them: a user_id, or the hash of an address.
Refused = Mapping[int, Mapping[str, int]]


async def note(connection: asyncpg.Connection, reason: str, refused: Refused) -> None:
    """Adds to what these classes turned away for a reason, in the order of their ids."""
    for class_id, events in sorted(refused.items()):
        await connection.execute(_NOTE, class_id, reason, list(events), list(events.values()))


_NOTE = "SELECT note_refusals($1, $2, $3, $4)"
