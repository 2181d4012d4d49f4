"""Redis Pub/Sub between replicas: it carries what they tell each other, and nothing else."""

import asyncio
import logging
from contextlib import suppress

import msgspec
import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitor.live.history import MessageBatch
from monitor.live.hub import Hub
from monitor.live.replicas import PULSE, ReplicaMessage, Replicas
from monitor.tasks import cancel_and_wait

CHANNEL = "student_progress_notifications"
_MAX_PAUSE = 2.0  # seconds between attempts to connect
_QUIET = 5.0  # seconds without even our own pulse: the connection is dead
_SYNC = 4.0  # seconds to learn what happened before; more than the others' back-off
logger = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ReplicaMessage)


class RedisBroker:
    """Takes what this replica tells to the others, and what they tell to it.

    Without Redis it goes on trying. What could not be sent meanwhile, the others will ask for.
    """

    def __init__(self, host: str, port: int, hub: Hub, queue_limit: int) -> None:
        self._redis = redis.asyncio.Redis(
            host=host,
            port=port,
            socket_connect_timeout=3,
            socket_timeout=_QUIET,
            retry=Retry(NoBackoff(), 0),  # not unseen: what came meanwhile would be missing
        )
        self._hub = hub
        self._replicas = Replicas(hub, self._queue)
        self._own = b'["batch","%b",' % hub.origin.encode()
        self._outbox: asyncio.Queue[tuple[str, ReplicaMessage]] = asyncio.Queue(queue_limit)
        self._tasks: list[asyncio.Task[None]] = []
        self._tried = asyncio.Event()  # to connect and to learn what happened before
        self.connected = False
        self.dropped = 0

    async def start(self) -> None:
        """Returns once this replica knows what the others know, or can't for now."""
        self._hub.relay = self.relay
        self._hub.stale = True
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send())]
        await self._tried.wait()

    async def stop(self, patience: float) -> None:
        """Sends what is left, and that there will be no more."""
        if self.connected:
            self._replicas.farewell()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.join(), patience)
        await cancel_and_wait(*self._tasks)
        await self._redis.aclose()

    def relay(self, batch: MessageBatch) -> None:
        """Queues a batch for the other replicas."""
        self._queue(batch, None)

    def _queue(self, told: ReplicaMessage, whom: str | None) -> None:
        if self.connected and not self._outbox.full():
            self._outbox.put_nowait((f"{CHANNEL}:{whom}" if whom else CHANNEL, told))
        elif isinstance(told, MessageBatch):
            self.dropped += told.count

    async def _send(self) -> None:
        while True:
            channel, told = await self._outbox.get()
            try:
                await self._redis.publish(channel, _ENCODER.encode(told))
            except (RedisError, OSError) as error:
                if isinstance(told, MessageBatch):
                    self.dropped += told.count
                logger.warning("Nothing can be told to the other replicas: %s", error)
            finally:
                self._outbox.task_done()

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._redis.connection_pool.disconnect()  # those of the time before
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL, f"{CHANNEL}:{self._hub.origin}")
                    pause = 0.1
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._receive(subscription))
                        tasks.create_task(self._greet())
                        tasks.create_task(self._beat())
            except* (RedisError, OSError) as errors:
                logger.warning("Redis is away, next try in %.1f s: %s", pause, errors.exceptions[0])
            finally:
                if self.connected:
                    self.connected = False
                    self._hub.cut_off()
            self._tried.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    async def _greet(self) -> None:
        """Learns what happened before."""
        self.connected = True  # from now on the others' questions are answered
        hearers = await self._redis.publish(CHANNEL, _ENCODER.encode(self._replicas.hello()))
        logger.info("Connected to Redis and %d other replicas", hearers - 1)
        whole = await self._replicas.greeted(hearers - 1, _SYNC)
        self._hub.resume(whole)
        self._tried.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PULSE)
            self._replicas.tick()

    async def _receive(self, subscription: PubSub) -> None:
        while True:
            message = await subscription.get_message(timeout=_QUIET)
            if message is None:
                raise ConnectionError("nothing comes any more")
            if message["type"] == "message" and not message["data"].startswith(self._own):
                self._take(message["data"])

    def _take(self, data: bytes) -> None:
        try:
            self._replicas.receive(_DECODER.decode(data))
        except msgspec.DecodeError as error:
            logger.warning("Something else publishes on %s: %s", CHANNEL, error)
        except Exception:  # the listener outlives a fault of ours: what is missing is asked for
            logger.exception("A message of another replica could not be delivered")
