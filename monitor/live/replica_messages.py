"""The messages between replicas, beside batches: `monitor.live.replicas` says what follows."""

import msgspec

from monitor.live.history import MessageBatch
from monitor.live.presence import Present


class Heartbeat(msgspec.Struct, array_like=True, tag="heartbeat"):
    """A replica lives, and has the messages up to `high_water`.

    `hello`: it has just connected and wants an answer. `farewell`: it is about to stop.
    """

    replica_id: str
    high_water: dict[str, int]
    known_since: int
    lost_at: int
    present: Present | None = None
    hello: bool = False
    farewell: bool = False


class BackfillRequest(msgspec.Struct, array_like=True, tag="backfill_request"):
    """Asks for all messages beyond `high_water`."""

    replica_id: str
    high_water: dict[str, int]


class BackfillResponse(msgspec.Struct, array_like=True, tag="backfill_response"):
    """The first batches of those asked for, and whether there are more.

    Those numbered up to `low_water` no longer exist.
    """

    replica_id: str
    low_water: dict[str, int]
    known_since: int
    batches: list[MessageBatch]
    more: bool = False


ReplicaMessage = MessageBatch | Heartbeat | BackfillRequest | BackfillResponse
