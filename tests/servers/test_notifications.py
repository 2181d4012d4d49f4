"""Notifications, sent by running servers to a receiver of the tests."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.events import event, post
from tests.support.lms import create, create_class, create_class_of, error_location, unique
from tests.support.postgres import Address, environment_of, temporary_database
from tests.support.receivers import Receiver, receiving
from tests.support.replicas import Replica
from tests.support.waiting import eventually

LINK = "https://school.example/monitor"
SETTINGS = {"PUBLIC_URL": LINK, "NOTIFY_NETWORKS": "127.0.0.0/8"}
_SENT = 60.0  # seconds within which a loaded machine sends what is due


@pytest.fixture(scope="module")
async def database(postgres_server: Address) -> AsyncIterator[Address]:
    async with temporary_database(postgres_server) as address:
        yield address


@pytest.fixture(scope="module")
def notifier(database: Address, tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment = environment_of(database, tmp_path_factory.mktemp("notifier"))
    with Replica(environment | SETTINGS) as replica:
        yield replica


@pytest.fixture
async def api(notifier: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{notifier.url}/api/v1", timeout=30) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def add_receiver(api: httpx.AsyncClient, class_id: int, url: str, *kinds: str) -> int:
    made = await create(
        api, "/notification-receivers", class_id=class_id, name="chat", url=url, kinds=list(kinds)
    )
    receiver_id: int = made["id"]
    return receiver_id


async def set_rules(api: httpx.AsyncClient, class_id: int, **rules: Any) -> None:
    answer = await api.put(f"/classes/{class_id}/notification-rules", json=rules)
    assert answer.status_code == 200, answer.text


async def call_for_help(replica: Replica, user: str, *, minutes: int) -> None:
    """Calls for so long, up to now."""
    session, now = unique("session"), datetime.now(UTC)
    calls = [
        event(
            eventType="help",
            userId=user,
            sessionId=session,
            eventTime=(now - timedelta(minutes=ago)).isoformat(),
        )
        for ago in range(minutes, -1, -1)
    ]
    assert (await post(replica, *calls)).status_code == 202


async def test_a_call_for_help_that_waits_is_sent_once_with_a_link(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await add_receiver(api, class_id, receiver.url, "help")
    await set_rules(api, class_id, language="ja", help_minutes=3)
    await call_for_help(notifier, user, minutes=6)
    (message,) = await eventually(lambda: receiver.messages, within=_SENT)
    assert message["title"] == "数学：呼び出し中の学生がいます"
    assert "1人が待っています。最も長い人は6分待っており" in message["message"]
    assert message["message"].endswith(f"\n{LINK}/#/class/{class_id}/help")
    assert user not in str(message)
    await call_for_help(notifier, user, minutes=0)  # the same call goes on
    other = unique("jiro")
    await create(api, f"/classes/{class_id}/students", user_id=other)
    (listed,) = (await api.get("/notification-receivers", params={"class_id": class_id})).json()
    await eventually(lambda: api.get(f"/classes/{class_id}/help"))
    assert listed["service"] == "JSON"
    assert len(receiver.messages) == 1
