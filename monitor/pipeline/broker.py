"""Redis Pub/Sub between replicas: it carries messages to their sockets, and nothing else."""

import asyncio
import logging
import secrets
from collections.abc import Callable

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from monitor.pipeline.hub import Delivery

CHANNEL = "student_progress_notifications"
logger = logging.getLogger(__name__)


class Relayed(msgspec.Struct, array_like=True):
    """What a replica publishes: one batch of messages, and who it comes from."""

    origin: str
    deliveries: list[Delivery]


_DECODER = msgspec.json.Decoder(Relayed)


class RedisBroker:
    """Publishes this replica's messages and delivers those of the others.

    Without Redis it goes on trying; what would have been relayed meanwhile is dropped.
    """

    def __init__(
        self, host: str, port: int, deliver: Callable[[Delivery], None], queue_limit: int
    ) -> None:
        self._redis = redis.asyncio.Redis(
            host=host, port=port, socket_connect_timeout=3, health_check_interval=10
        )
        self._deliver = deliver
        self._origin = secrets.token_hex(8)
        self._outbox: asyncio.Queue[list[Delivery]] = asyncio.Queue(queue_limit)
        self._tasks: list[asyncio.Task[None]] = []
        self.connected = False
        self.dropped = 0

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._send()),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def relay(self, deliveries: list[Delivery]) -> None:
        """Queues a batch for the other replicas."""
        if not self.connected or self._outbox.full():
            self.dropped += len(deliveries)
        else:
            self._outbox.put_nowait(deliveries)

    async def _send(self) -> None:
        while True:
            deliveries = await self._outbox.get()
            try:
                message = msgspec.json.encode(Relayed(self._origin, deliveries))
                await self._redis.publish(CHANNEL, message)
            except (RedisError, OSError) as error:
                self.dropped += len(deliveries)
                logger.warning("%d messages were not relayed: %s", len(deliveries), error)

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    self.connected, pause = True, 0.1
                    logger.info("Connected to Redis")
                    async for message in subscription.listen():
                        self._receive(message)
            except (RedisError, OSError) as error:
                logger.warning("Redis is away, next try in %.1f s: %s", pause, error)
            finally:
                self.connected = False
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5)

    def _receive(self, message: dict[str, object]) -> None:
        if message["type"] != "message":
            return
        try:
            relayed = _DECODER.decode(message["data"])  # type: ignore[arg-type]
        except msgspec.DecodeError as error:
            logger.warning("Something else publishes on %s: %s", CHANNEL, error)
            return
        if relayed.origin != self._origin:
            for delivery in relayed.deliveries:
                self._deliver(delivery)
