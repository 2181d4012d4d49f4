"""The PostgreSQL sink of a replica of its own, and events as a retry sends them."""

import uuid
from datetime import timedelta
from typing import Any

import asyncpg

from monitor import Handlers
from monitor.events.event import Event
from monitor.pipeline.id_cache import IdCache
from monitor.pipeline.postgres import PostgresSink


def sink_on(pool: asyncpg.Pool) -> PostgresSink:
    return PostgresSink(pool, IdCache(1_000), uuid.uuid4(), has_influx=False, handlers=Handlers())


def retry_of(event: Event, **fields: Any) -> Event:
    """The same event, received one millisecond later unless `fields` say otherwise."""
    same = {name: getattr(event, name) for name in event.__struct_fields__}
    later = {"received_at": event.received_at + timedelta(milliseconds=1)}
    return Event(**same | later | fields)
