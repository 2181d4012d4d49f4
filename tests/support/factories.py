"""Events for the tests, made without the wire."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

from monitor.events.event import Event


def now() -> datetime:
    """The present in milliseconds, as clients know it."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def make_event(**fields: Any) -> Event:
    """An executed cell; `fields` replace its values."""
    time = now()
    usual: dict[str, Any] = {
        "id": uuid.uuid4(),
        "type": "cell_executed",
        "time": time,
        "untimed": False,
        "received_at": time,
        "student": "hanako",
        "name": None,
        "email": None,
        "team": None,
        "session": "session-1",
        "notebook": "units/lesson.ipynb",
        "cell": "cell-1",
        "cell_type": "code",
        "cell_index": 0,
        "code": "1 + 1",
        "execution_count": 1,
        "failed": False,
        "output": "2",
        "error": None,
        "duration_ms": 1.5,
        "metadata": "{}",
    }
    return Event(**usual | fields)


def deadline_soon(seconds: float = 5.0) -> float:
    """A deadline by the event loop's clock."""
    return asyncio.get_running_loop().time() + seconds
