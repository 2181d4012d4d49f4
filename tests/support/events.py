"""Events as clients send them over HTTP."""

import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.replicas import Replica


def event(**fields: Any) -> dict[str, Any]:
    """A cell that was executed just now; `fields` replace or add to what it says."""
    return {
        "eventId": str(uuid.uuid4()),
        "eventType": "cell_executed",
        "eventTime": datetime.now(UTC).isoformat(),
        "userId": "hanako",
        "sessionId": "session-1",
        "notebookPath": "lesson.ipynb",
        "cellId": "cell-1",
        "cellIndex": 0,
        "cellType": "code",
        "code": "1 + 1",
        "result": "2",
    } | fields


async def post(replica: Replica, *events: Any, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=15) as client:
        return await client.post(replica.events_url, json=list(events), **options)


async def post_as(replica: Replica, user: str, kind: str, **fields: Any) -> None:
    """One event of this type and user, which must be accepted."""
    answer = await post(replica, event(eventType=kind, userId=user, **fields))
    assert answer.status_code == 202
