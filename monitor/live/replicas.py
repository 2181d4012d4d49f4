"""The protocol between replicas, by which each gets the messages of all, in order, without gaps.

Every replica numbers its own messages without gaps, and Redis keeps the order of what it carries.
A version vector (the last message number of each replica) in every heartbeat therefore shows a
receiver at once what it lacks, and it asks the sender for it: a backfill.

| event here                       | what follows                                                 |
|----------------------------------|--------------------------------------------------------------|
| connected to Redis               | heartbeat with `hello`; wait until all have answered it      |
| heartbeat with `hello`           | answer with a heartbeat that says who is present             |
| heartbeat ahead of this replica  | request a backfill from its sender                           |
| heartbeat with a newer `lost_at` | messages may be missing here as well: sockets get `resumed`  |
| heartbeat with `farewell`        | remove the replica; nothing of it is missing                 |
| batch, the next one              | deliver it, then the held ones that follow                   |
| batch behind a gap               | hold it, request a backfill                                  |
| batch seen before                | ignore it                                                    |
| backfill request                 | answer with the first batches beyond it, and low-water marks |
| backfill response                | skip what no longer exists, deliver its batches              |
| response with `more` to come     | request from there on                                        |
| the last response                | settle                                                       |
| no response in time              | settle                                                       |
| settle                           | skip the gaps that are left, request from the next one ahead |
| no heartbeat of a replica        | lost, perhaps with unsent messages: sockets get `resumed`    |
| long after a replica has ended   | forget its numbers, and cursors from before                  |

One backfill is requested at a time: what one replica answers, the others would answer too.
"""

import asyncio
import logging
from collections.abc import Callable

from monitor.live.history import MessageBatch, now
from monitor.live.hub import Hub
from monitor.live.replica_messages import (
    BackfillRequest,
    BackfillResponse,
    Heartbeat,
    ReplicaMessage,
)

HEARTBEAT_INTERVAL = 1.0  # seconds
_LOST_AFTER = 3.5  # seconds without a heartbeat
_BACKFILL_TIMEOUT = 1.0  # seconds
# Bytes of one response: Redis ends the connection of a replica for which too many wait.
_MAX_RESPONSE = 256 * 1024
_PRESENCE_EVERY = 5  # heartbeats, even if nobody has come or gone
_REPLICA_TTL = 600_000  # ms for which the numbers of an ended replica are kept
_MAX_CLOCK_SKEW = 60_000  # ms between the clocks of two replicas
logger = logging.getLogger(__name__)


class Replicas:
    """The other replicas, as known from their messages.

    `send` is called with a message and the id of the replica it is for, or None for all.
    """

    def __init__(self, hub: Hub, send: Callable[[ReplicaMessage, str | None], None]) -> None:
        self._hub = hub
        self._history = hub.history
        self._send = send
        self._last_batch: dict[str, int] = {}  # ms since 1970, of each replica with messages
        self._alive: dict[str, int] = {}  # ms since 1970, of each replica's last heartbeat
        self._held: dict[str, list[MessageBatch]] = {}  # batches behind a gap, by replica
        self._ahead: dict[str, dict[str, int]] = {}  # version vectors with messages not here
        self._requested: tuple[str, float] | None = None  # the replica asked, and the deadline
        self._forgotten: set[str] = set()
        self._greeting = False
        self._greeted: set[str] = set()  # replicas that have answered the hello
        self._complete = True
        self._presence_sent = -1  # the version that was sent last
        self._heartbeats = 0
        self._ticked = now()

    def hello(self) -> Heartbeat:
        """The first message to all after connecting."""
        self._greeting, self._greeted = True, set()
        self._complete, self._requested = True, None
        self._alive = dict.fromkeys(self._alive, now())
        return self._heartbeat(hello=True)

    async def wait_for_greetings(self, others: int, timeout: float) -> bool:
        """Waits (s) until `others` replicas, and all known ones, have answered the hello.

        False when messages are missing.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while self._is_waiting(others):
            if asyncio.get_running_loop().time() > deadline:
                self._complete = False
                break
            await asyncio.sleep(0.01)
        self._greeting = False
        return self._complete

    def _is_waiting(self, others: int) -> bool:
        greeted = self._greeted
        missing = len(greeted) < others or bool(self._alive.keys() - greeted)
        return missing or self._requested is not None or bool(self._held)

    def farewell(self) -> None:
        """The last message to all: without it they would take this replica for lost."""
        self._send(self._heartbeat(farewell=True), None)

    def tick(self) -> None:
        """Must be called every HEARTBEAT_INTERVAL while connected."""
        self._send(self._heartbeat(), None)
        time, late = now(), now() - self._ticked > 2000 * HEARTBEAT_INTERVAL
        self._ticked = time
        if late:  # this replica was the silent one
            self._alive = dict.fromkeys(self._alive, time)
        for replica_id, heard_at in list(self._alive.items()):
            if time - heard_at > 1000 * _LOST_AFTER:
                self._lose(replica_id, heard_at)
        for replica_id, heard_at in list(self._last_batch.items()):
            if replica_id not in self._alive and time - heard_at > _REPLICA_TTL + _MAX_CLOCK_SKEW:
                self._forget(replica_id, heard_at + _MAX_CLOCK_SKEW)
        if self._requested and self._requested[1] < asyncio.get_running_loop().time():
            self._complete = False
            self._settle(self._requested[0])

    def receive(self, message: ReplicaMessage) -> None:
        """Takes a message of any replica; those of this one, which Redis returns, are ignored."""
        if message.replica_id == self._hub.replica_id:
            return
        match message:
            case MessageBatch():
                self._take(message)
            case Heartbeat():
                self._on_heartbeat(message)
            case BackfillRequest():
                self._respond(message)
            case BackfillResponse():
                self._fill(message)

    def _heartbeat(self, *, hello: bool = False, farewell: bool = False) -> Heartbeat:
        presence, history = self._hub.presence, self._history
        self._heartbeats += 1
        is_due = self._heartbeats % _PRESENCE_EVERY == 0
        with_presence = hello or self._presence_sent != presence.version or is_due
        self._presence_sent = presence.version
        return Heartbeat(
            replica_id=self._hub.replica_id,
            high_water=dict(history.high_water),
            known_since=history.known_since,
            lost_at=history.lost_at,
            present=presence.here if with_presence else None,
            hello=hello,
            farewell=farewell,
        )

    def _on_heartbeat(self, heartbeat: Heartbeat) -> None:
        replica_id, history = heartbeat.replica_id, self._history
        self._alive[replica_id] = now()
        if heartbeat.present is not None:
            self._hub.presence.elsewhere[replica_id] = heartbeat.present
        if heartbeat.hello:
            self._presence_sent = -1
            self._send(self._heartbeat(), None)
        if heartbeat.lost_at > history.lost_at:
            history.lost_at = heartbeat.lost_at
            self._report_missing()
        offsets = {
            each: offset
            for each, offset in heartbeat.high_water.items()
            if each not in self._forgotten
        }
        if history.lacks(offsets):
            self._ahead[replica_id] = offsets
            self._request_backfill(replica_id)
        elif self._greeting:
            history.known_since = min(history.known_since, heartbeat.known_since)
        self._greeted.add(replica_id)
        if heartbeat.farewell:
            self._remove(replica_id)

    def _take(self, batch: MessageBatch) -> None:
        """Delivers a batch in its turn, once."""
        replica_id = batch.replica_id
        self._last_batch[replica_id] = now()
        delivered = self._history.high_water.get(replica_id, 0)
        if batch.last <= delivered:
            return
        if batch.first > delivered + 1:
            self._held.setdefault(replica_id, []).append(batch)
            alive = replica_id in self._alive
            self._request_backfill(replica_id if alive else next(iter(self._alive), replica_id))
            return
        self._hub.deliver(batch)
        for held in self._held.pop(replica_id, ()):
            self._take(held)

    def _request_backfill(self, replica_id: str) -> None:
        if not self._requested:
            deadline = asyncio.get_running_loop().time() + _BACKFILL_TIMEOUT
            self._requested = replica_id, deadline
            request = BackfillRequest(self._hub.replica_id, dict(self._history.high_water))
            self._send(request, replica_id)

    def _respond(self, request: BackfillRequest) -> None:
        history, known = self._history, request.high_water
        batches: list[MessageBatch] = []
        size, more = 0, False
        for batch in history.batches:
            if batch.last > known.get(batch.replica_id, 0):
                size += batch.size
                if more := bool(batches) and size > _MAX_RESPONSE:
                    break
                batches.append(batch)
        response = BackfillResponse(
            self._hub.replica_id, dict(history.low_water), history.known_since, batches, more
        )
        self._send(response, request.replica_id)

    def _fill(self, response: BackfillResponse) -> None:
        history, before = self._history, dict(self._history.high_water)
        for replica_id, low_water in response.low_water.items():
            if low_water > history.high_water.get(replica_id, 0):
                self._skip(replica_id, low_water)
        for batch in response.batches:
            self._take(batch)
        if response.more and history.high_water != before:
            self._requested = None
            self._request_backfill(response.replica_id)
            return
        if self._greeting:
            history.known_since = min(history.known_since, response.known_since)
        self._settle(response.replica_id)

    def _settle(self, asked: str) -> None:
        """Gives up on gaps the reply (or its absence) left open; asks the next replica."""
        for replica_id, held in list(self._held.items()):
            self._skip(replica_id, held[0].first - 1)
            for batch in self._held.pop(replica_id):
                self._take(batch)
        self._requested = None
        self._ahead.pop(asked, None)
        for replica_id, offsets in list(self._ahead.items()):
            if self._history.lacks(offsets):
                self._request_backfill(replica_id)
            else:
                del self._ahead[replica_id]

    def _skip(self, replica_id: str, offset: int) -> None:
        """Messages up to this number are missing for good."""
        logger.warning("Messages of replica %s up to %d are missing", replica_id, offset)
        self._history.skip(replica_id, offset)
        self._last_batch[replica_id] = now()
        self._report_missing()

    def _lose(self, replica_id: str, heard_at: int) -> None:
        """Removes a silent replica, which may have had messages that it could not send."""
        logger.warning("Replica %s is silent", replica_id)
        self._remove(replica_id)
        if self._history.lost_at < heard_at:
            self._history.lost_at = now() + 1  # after all cursors so far
            self._report_missing()

    def _report_missing(self) -> None:
        self._complete = False
        if not self._hub.stale:
            self._hub.resume(recovered=False)

    def _remove(self, replica_id: str) -> None:
        self._alive.pop(replica_id, None)
        self._ahead.pop(replica_id, None)
        self._hub.presence.elsewhere.pop(replica_id, None)

    def _forget(self, replica_id: str, ended: int) -> None:
        self._forgotten.add(replica_id)
        del self._last_batch[replica_id]
        self._history.forget(replica_id, ended)
