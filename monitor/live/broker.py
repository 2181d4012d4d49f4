"""Redis Pub/Sub: carries the messages between replicas, and nothing else."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress

import msgspec
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitor.health import ComponentHealth, RedisHealth
from monitor.live.history import MessageBatch
from monitor.live.hub import Hub
from monitor.live.redis_address import RedisAddress, explain
from monitor.live.replica_messages import ReplicaMessage
from monitor.live.replicas import HEARTBEAT_INTERVAL, Replicas
from monitor.tasks import Job, describe, is_cancelled, remaining

CHANNEL = "student_progress_notifications"  # of database 0; of others with the number behind
_FIRST_BACKOFF = 0.1  # seconds between attempts to connect; doubled after each
_MAX_BACKOFF = 2.0  # seconds
_MAX_SEND_BACKOFF = 0.1  # seconds after a message that could not be sent; others wait meanwhile
_READ_TIMEOUT = 5.0  # seconds without even our own heartbeat: the connection is dead
_GREETING_TIMEOUT = 4.0  # seconds for the others' greetings; more than their back-off
logger = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ReplicaMessage)


class RedisBroker:
    """Sends this replica's messages to the others, and receives theirs.

    Reconnects by itself. Others fetch what could not be sent meanwhile.
    """

    name = "redis"

    def __init__(self, address: RedisAddress, hub: Hub, queue_limit: int) -> None:
        self._redis = address.client(
            socket_connect_timeout=3,
            socket_timeout=_READ_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # no silent reconnect: it would lose messages
        )
        number = address.database
        self._channel = f"{CHANNEL}.{number}" if number else CHANNEL
        self._hub = hub
        self._replicas = Replicas(hub, self._queue)
        self._own_prefix = b'["batch","%b",' % hub.replica_id.encode()
        self._outgoing: asyncio.Queue[tuple[str, ReplicaMessage]] = asyncio.Queue(queue_limit)
        self._listening = Job("Listening to Redis", self._listen, max_backoff=_MAX_BACKOFF)
        self._sending = Job(
            "Sending to the other replicas",
            self._send,
            max_backoff=_MAX_SEND_BACKOFF,
            expected=(RedisError, OSError),
        )
        self._backoff = _FIRST_BACKOFF
        self._tried = asyncio.Event()  # to connect and to catch up
        self.connected = False
        self.failure: str | None = None  # why it is not connected, since the last time it was
        self.dropped = 0  # messages that could not be sent

    async def start(self) -> None:
        """Returns once this replica has caught up with the others, or can't connect for now."""
        self._hub.relay = self.relay
        self._hub.stale = True
        self._listening.start()
        self._sending.start()
        await self._tried.wait()

    async def stop(self, deadline: float) -> None:
        """Sends the queued messages and a farewell, until `deadline` (event loop's clock)."""
        if self.connected:
            self._replicas.farewell()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outgoing.join(), remaining(deadline))
        await self._listening.stop()
        await self._sending.stop()
        await self._redis.aclose()

    async def health(self) -> RedisHealth:
        report = self._sending.health()
        if not self._listening.running:
            report = self._listening.health()
        elif not self.connected:
            reason = self.failure or self._listening.failure or "Not connected"
            report = ComponentHealth("degraded", reason)
        return RedisHealth(report.state, report.error, dropped=self.dropped)

    def relay(self, batch: MessageBatch) -> None:
        """Queues a batch for the other replicas."""
        self._queue(batch, None)

    def _queue(self, message: ReplicaMessage, replica_id: str | None) -> None:
        if self.connected and not self._outgoing.full():
            self._outgoing.put_nowait(
                (f"{self._channel}:{replica_id}" if replica_id else self._channel, message)
            )
        elif isinstance(message, MessageBatch):
            self.dropped += message.count

    async def _send(self) -> float:
        """Sends one message. Returns 0: the next one is wanted at once."""
        channel, message = await self._outgoing.get()
        try:
            await self._redis.publish(channel, _ENCODER.encode(message))
        except BaseException:
            if isinstance(message, MessageBatch):
                self.dropped += message.count
            raise
        finally:
            self._outgoing.task_done()
        return 0.0

    async def _listen(self) -> float:
        """Returns the seconds until the next try, once the connection is lost."""
        try:
            await self._redis.connection_pool.disconnect()  # left from before the outage
            async with self._redis.pubsub() as subscription:
                await subscription.subscribe(
                    self._channel, f"{self._channel}:{self._hub.replica_id}"
                )
                self._backoff = _FIRST_BACKOFF
                # A group that ends by an error leaves its task marked as cancelled: time-outs
                # would end this one for good under Python 3.11.2, which Debian 12 has.
                await asyncio.create_task(self._exchange(subscription))
        except* (RedisError, OSError) as errors:
            self._lose(errors.exceptions[0])
        except* Exception as errors:
            logger.exception("The connection to Redis failed and is tried again")
            self.failure = describe(errors.exceptions[0])
        finally:
            if self.connected:
                self.connected = False
                self._hub.cut_off()
            self._tried.set()
        backoff, self._backoff = self._backoff, min(2 * self._backoff, _MAX_BACKOFF)
        return backoff

    async def _exchange(self, subscription: PubSub) -> None:
        """Until the connection is lost: raises an ExceptionGroup then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_essential(self._receive(subscription)))
            tasks.create_task(_essential(self._greet()))
            tasks.create_task(_essential(self._send_heartbeats()))

    def _lose(self, error: Exception) -> None:
        failure = explain(error)
        if self.failure is None:
            logger.warning("Redis can't be used and is tried again: %s", failure)
        self.failure = failure

    async def _greet(self) -> None:
        """Catches up with the other replicas."""
        self.failure = None
        self.connected = True  # from now on backfill requests are answered
        receivers = await self._redis.publish(
            self._channel, _ENCODER.encode(self._replicas.hello())
        )
        logger.info("Connected to Redis and %d other replicas", receivers - 1)
        complete = await self._replicas.wait_for_greetings(receivers - 1, _GREETING_TIMEOUT)
        self._hub.resume(complete)
        self._tried.set()

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            self._replicas.tick()

    async def _receive(self, subscription: PubSub) -> None:
        while True:
            message = await subscription.get_message(timeout=_READ_TIMEOUT)
            if message is None:
                raise ConnectionError(f"nothing received for {_READ_TIMEOUT:.0f} s")
            if message["type"] == "message" and not message["data"].startswith(self._own_prefix):
                self._take(message["data"])

    def _take(self, data: bytes) -> None:
        try:
            self._replicas.receive(_DECODER.decode(data))
        except msgspec.DecodeError as error:
            logger.warning("Ignored a malformed message on %s: %s", self._channel, error)
        except Exception:  # keep listening: a backfill fetches what is missing
            logger.exception("A message of another replica could not be delivered")


async def _essential(work: Awaitable[None]) -> None:
    """Awaits `work` in a TaskGroup, which would go on without a task that was cancelled inside."""
    try:
        await work
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise ConnectionError("The connection was given up inside") from error
