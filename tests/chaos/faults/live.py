"""What happens to Redis, which carries the live messages between servers."""

import asyncio
import random
import time
from itertools import permutations

import httpx
import redis.asyncio

from tests.chaos.extension import event
from tests.chaos.faults.servers import kill_server
from tests.chaos.site import Site
from tests.support.servers import StrictRedisServer

BUFFERS = "pubsub 512kb 256kb 10"
HISTORY = 4000  # messages, which are larger together


async def redis_down(site: Site, outage: float) -> None:
    await asyncio.to_thread(site.redis.kill)
    await asyncio.sleep(random.uniform(0, outage))
    await asyncio.to_thread(site.redis.start)


async def small_buffers(site: Site, outage: float) -> None:
    """Redis cuts off a server to which it would have to send much at once, and one needs much."""
    strict = StrictRedisServer(site.new_directory("strict"), site.redis.port)
    await asyncio.to_thread(site.redis.kill)
    with strict:
        async with redis.asyncio.Redis(host=strict.host, port=strict.port) as client:
            await client.config_set("client-output-buffer-limit", BUFFERS)
        async with asyncio.timeout(max(10, outage)):
            while len(site.lesson.journal.acknowledged) < HISTORY:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await kill_server(site, outage)
        await _messages_cross(site)
    await asyncio.to_thread(site.redis.start)


async def _messages_cross(site: Site) -> None:
    """What happens at either server is shown at the other."""
    for here, there in permutations(site.replicas):
        student = f"{here.port}-{time.time_ns()}"
        async with there.listen(f"?channels=progress:{student}") as listener:
            async with httpx.AsyncClient() as client:
                answer = await client.post(here.events_url, json=[event(student)])
            assert answer.status_code == 202, answer.text
            async with asyncio.timeout(20):
                while (await listener.next(20))["event"] != "execution_update":
                    pass
