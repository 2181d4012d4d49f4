"""Notifications, sent by running servers to a receiver of the tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.notifications.sending import Message, Sender
from tests.support.events import event, post
from tests.support.lms import (
    act_on_help,
    create,
    create_class,
    create_class_of,
    error_location,
)
from tests.support.mail import receiving_mail
from tests.support.postgres import (
    Address,
    address_of,
    environment_of,
    fetch,
    temporary_database,
)
from tests.support.receivers import Receiver, receiving
from tests.support.replicas import Replica
from tests.support.waiting import eventually

LINK = "https://school.example/monitor"
SETTINGS = {
    "PUBLIC_URL": LINK,
    "NOTIFY_NETWORKS": "127.0.0.0/8",
    "NOTIFY_REFUSED_NETWORKS": "127.9.0.0/16",
}
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
    now = datetime.now(UTC)
    calls = [
        event(
            eventType="help",
            userId=user,
            sessionId=f"session of {user}",
            eventTime=(now - timedelta(minutes=ago)).isoformat(),
        )
        for ago in range(minutes, -1, -1)
    ]
    assert (await post(replica, *calls)).status_code == 202


async def looked(database: Address) -> None:
    """A whole look for causes has passed since: another one has begun after it."""
    for _ in range(2):
        (row,) = await fetch(database, "SELECT due_at FROM notification_round")
        query = "SELECT FROM notification_round WHERE due_at > $1"
        await eventually(partial(fetch, database, query, row["due_at"]), within=_SENT)


async def noticed(database: Address, class_id: int) -> int:
    """How many notifications a class has had."""
    query = "SELECT count(*) FROM notifications WHERE class_id = $1"
    (row,) = await fetch(database, query, class_id)
    count: int = row["count"]
    return count


async def test_a_call_for_help_that_waits_is_sent_once_with_a_link(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver, database: Address
) -> None:
    class_id, (user, other), (_, other_id) = await create_class_of(api, "hanako", "jiro")
    await call_for_help(notifier, other, minutes=6)
    await act_on_help(api, class_id, other_id, "take", "先生")
    await add_receiver(api, class_id, receiver.url, "help")
    await set_rules(api, class_id, language="ja", help_minutes=3)
    await call_for_help(notifier, user, minutes=6)
    (message,) = await eventually(lambda: receiver.messages, within=_SENT)
    assert message["title"] == "数学：呼び出し中の学生がいます"
    assert "1人が待っています。最も長い人は6分待っており" in message["message"]
    assert message["message"].endswith(f"\n{LINK}/#/class/{class_id}/help")
    assert user not in str(message)
    await fetch(database, _LONG_AGO, class_id)
    await call_for_help(notifier, user, minutes=0)  # the same call goes on
    await looked(database)
    assert await noticed(database, class_id) == len(receiver.messages) == 1


async def test_a_mail_leaves_with_a_japanese_subject_and_a_link(
    notifier: Replica, api: httpx.AsyncClient
) -> None:
    async with receiving_mail() as server:
        class_id, (user,), _ = await create_class_of(api, "hanako")
        await add_receiver(api, class_id, server.url, "help")
        await set_rules(api, class_id, language="ja", help_minutes=3)
        await call_for_help(notifier, user, minutes=6)
        (mail,) = await eventually(lambda: server.mails, within=_SENT)
        assert mail["Subject"] == "数学：呼び出し中の学生がいます"
        assert "monitor@school.example" in mail["From"]
        assert mail["To"] == "teacher@school.example"
        assert server.recipients == ["TO:<teacher@school.example>"]
        body = mail.get_body(("plain",))
        assert body
        assert "1人が待っています" in body.get_content()
        assert body.get_content().rstrip().endswith(f"\n{LINK}/#/class/{class_id}/help")


async def test_a_mail_server_that_refuses_the_password_is_seen(api: httpx.AsyncClient) -> None:
    async with receiving_mail() as server:
        class_id = (await create_class(api))["id"]
        wrong = server.url.replace("S3cret", "wrong")
        receiver_id = await add_receiver(api, class_id, wrong, "help")
        answer = await api.post(f"/notification-receivers/{receiver_id}/test")
        assert answer.json()["problem"] == "unreachable"
        assert server.mails == []


async def test_an_error_of_many_students_is_sent_without_what_they_wrote(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    class_id, users, _ = await create_class_of(api, *(f"s{number}" for number in range(5)))
    await add_receiver(api, class_id, receiver.url, "class_error")
    await set_rules(api, class_id, error_percent=50)
    secret = "<!channel> see evil.example"
    errors = [
        event(userId=user, hasError=True, errorMessage=f"NameError: {secret}", code=secret)
        for user in users[:3]
    ]
    assert (await post(notifier, *errors)).status_code == 202
    (message,) = await eventually(lambda: receiver.messages, within=_SENT)
    assert message["title"] == "数学: many students have the same error"
    assert message["message"].startswith("NameError: 3 of 5 students")
    assert "channel" not in str(message)
    assert "evil" not in str(message)


async def test_a_secret_is_never_shown_again(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver, database: Address
) -> None:
    class_id = (await create_class(api))["id"]
    receiver.status = 404
    receiver_id = await add_receiver(api, class_id, receiver.url, "help")
    path = f"/notification-receivers/{receiver_id}"
    answers = [
        await api.get("/notification-receivers", params={"class_id": class_id}),
        await api.put(path, json={"name": "other", "url": receiver.url + "/2"}),
        await api.post(f"{path}/test"),
        await api.put(path, json={"url": "file://S3cret-in-a-URL"}),
        await api.put(path, json={"url": "json://S3cret-in-a-URL/?template=/etc/passwd"}),
        await api.put(path, json={"url": ["S3cret-in-a-URL"]}),
        await api.delete(path),
    ]
    assert [each.status_code for each in answers] == [200, 200, 200, 422, 422, 422, 200]
    assert answers[2].json()["problem"] == "http_404"
    assert [each.text for each in answers if "S3cret" in each.text] == []
    (logged,) = await fetch(database, _IN_AUDIT_LOG, str(receiver_id))
    assert logged == {"entries": 3, "secrets": 0}
    assert "S3cret" not in notifier.output()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "exec://ls",
        "dbus://",
        "syslog://localhost",
        "http://127.0.0.1/",
        "https://example.org/not-of-a-service",
        "jsons://example.org/?verify=no",
        "slack://a",
        "mailto://a:b@example.org?pgppub=/etc/passwd",
        "json:// with spaces",
    ],
)
async def test_other_urls_than_of_services_are_refused(api: httpx.AsyncClient, url: str) -> None:
    class_id = (await create_class(api))["id"]
    body = {"class_id": class_id, "name": "x", "url": url, "kinds": ["help"]}
    answer = await api.post("/notification-receivers", json=body)
    assert error_location(answer) == ["body", "url"]


async def test_addresses_that_the_operator_does_not_allow_are_not_connected_to(
    api: httpx.AsyncClient,
) -> None:
    class_id = (await create_class(api))["id"]
    reached: list[bool] = []

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(True)
        writer.close()

    async with await asyncio.start_server(note, "::1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for host in (f"[::1]:{port}", "169.254.169.254", "10.1.2.3", "127.9.0.1"):
            url = f"json://{host}/"
            receiver_id = await add_receiver(api, class_id, url, "help")
            answer = await api.post(f"/notification-receivers/{receiver_id}/test")
            assert answer.json() == {"receiver": str(receiver_id), "problem": "refused"}
    assert reached == []


async def test_a_redirect_is_not_followed(api: httpx.AsyncClient, receiver: Receiver) -> None:
    class_id = (await create_class(api))["id"]
    receiver.status = 302
    receiver_id = await add_receiver(api, class_id, receiver.url, "help")
    answer = await api.post(f"/notification-receivers/{receiver_id}/test")
    assert answer.json()["problem"] == "http_302"
    assert receiver.calls == 1
    again = await api.post(f"/notification-receivers/{receiver_id}/test")
    assert again.status_code == 409


async def test_a_receiver_that_fails_or_hangs_holds_up_no_other(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver, database: Address
) -> None:
    async with receiving() as hanging, receiving() as failing:
        hanging.status, failing.status = None, 500
        class_id, (user,), _ = await create_class_of(api, "hanako")
        for each in (hanging, failing, receiver):
            await add_receiver(api, class_id, each.url, "help")
        await set_rules(api, class_id, help_minutes=1)
        await call_for_help(notifier, user, minutes=2)
        await eventually(lambda: receiver.messages, within=_SENT)

        async def problems() -> list[str | None]:
            query = {"class_id": class_id}
            listed = (await api.get("/notification-receivers", params=query)).json()
            return [each["problem"] for each in listed]

        expected = ["unreachable", "http_500", None]
        await eventually(problems, lambda them: them == expected, within=_SENT)
        health = (await api.get("/health")).json()
        assert health["notifications"]["failing"] >= 2
        assert health["notifications"]["state"] == "ok"
        assert (await post(notifier, event())).status_code == 202
        failing.status = 200
        await fetch(database, "UPDATE notification_deliveries SET due_at = now()")
        await eventually(lambda: failing.messages, within=_SENT)
        assert failing.titles() == receiver.titles()


async def test_a_receiver_that_answers_byte_by_byte_is_given_up_in_time() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.2)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"json://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        sender = Sender([], timeout=5)
        assert await sender.send(url, Message("title", "body"), by_operator=True) == "timeout"


async def test_in_quiet_hours_nothing_is_sent_and_afterwards_what_still_holds(
    notifier: Replica, api: httpx.AsyncClient, receiver: Receiver, database: Address
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    await add_receiver(api, class_id, receiver.url, "help")
    zone = ZoneInfo("Asia/Tokyo")
    begin, end = (
        (datetime.now(zone) + timedelta(hours=hours)).strftime("%H:%M") for hours in (-2, 2)
    )
    rules = {"time_zone": "Asia/Tokyo", "help_minutes": 1}
    await set_rules(api, class_id, **rules, quiet_from=begin, quiet_until=end)
    await call_for_help(notifier, user, minutes=2)
    await looked(database)
    assert await noticed(database, class_id) == 0
    await set_rules(api, class_id, **rules, quiet_from=end, quiet_until=begin)
    await call_for_help(notifier, user, minutes=0)
    await eventually(lambda: receiver.messages, within=_SENT)


@pytest.mark.parametrize(
    ("zone", "begin", "end", "quiet"),
    [
        ("UTC", -60, 60, True),
        ("UTC", 60, -60, False),
        ("Asia/Tokyo", 9 * 60 - 60, 9 * 60 + 60, True),
        ("Asia/Tokyo", -60, 60, False),
        ("UTC", 0, 0, False),
        ("Mars/Olympus", -60, 60, False),  # restored where it is not known
        ("UTC", None, None, False),
    ],
)
async def test_quiet_hours_are_by_the_clock_of_the_zone(
    notifier: Replica,
    database: Address,
    zone: str,
    begin: int | None,
    end: int | None,
    quiet: bool,
) -> None:
    query = """
        SELECT is_quiet($1, clock + make_interval(mins => $2), clock + make_interval(mins => $3))
        FROM (SELECT (now() AT TIME ZONE 'UTC')::time AS clock) AS utc
    """
    assert await fetch(database, query, zone, begin, end) == [{"is_quiet": quiet}]


async def test_rules_are_checked(api: httpx.AsyncClient) -> None:
    class_id = (await create_class(api))["id"]
    path = f"/classes/{class_id}/notification-rules"
    assert (await api.get(path)).json()["time_zone"] == "UTC"
    answer = await api.put(path, json={"time_zone": "Mars/Olympus"})
    assert error_location(answer) == ["body", "time_zone"]
    assert (await api.put(path, json={"quiet_from": "22:00"})).status_code == 422
    assert (await api.put(path, json={"quiet_from": "9", "quiet_until": "10"})).status_code == 422
    assert (await api.get("/classes/999999/notification-rules")).status_code == 404


async def test_operators_are_notified_once_by_all_replicas_and_after_a_restart(
    postgres_server: Address, tmp_path: Path, receiver: Receiver
) -> None:
    settings = {
        "NOTIFY_URLS": receiver.url,
        "NOTIFY_HEALTH_SECONDS": "0.1",
        "NOTIFY_LANGUAGE": "ja",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": "1",  # nobody listens there
        "DAILY_EVENTS": "10",
    }
    async with temporary_database(postgres_server) as address:
        first = Replica(environment_of(address, tmp_path / "one") | settings)
        second = Replica(environment_of(address, tmp_path / "two") | settings)
        with first, second:
            async with httpx.AsyncClient(base_url=f"{first.url}/api/v1", timeout=30) as api:
                class_id = (await create_class(api))["id"]
                key = await create(api, "/ingest-keys", name="月曜", class_id=class_id)
                (tested,) = (await api.post("/notifications/test")).json()
            sent = [event(userId=f"s{number}") for number in range(5)]
            for address_of_sender in ("10.0.0.1", "10.0.0.2"):
                await fetch(
                    address,
                    "SELECT note_refusals($1, 'ended_key', $2, $3)",
                    class_id,
                    [address_of_sender],
                    [100],
                )
            await fetch(address, _USE_KEY, key["id"])
            assert (await post(second, *sent)).status_code == 202
            await eventually(
                lambda: set(receiver.titles()), lambda them: them >= _EXPECTED, within=_SENT
            )
            second.stop()
            second.start()
            await looked(address)
            async with httpx.AsyncClient() as client:
                health = (await client.get(f"{second.url}/health")).json()
            said = str(tested) + str(health) + first.output() + second.output()
        assert tested["receiver"].startswith("json-")
        assert "S3cret" not in said
        assert sorted(receiver.titles()) == sorted(_EXPECTED)


async def test_operators_hear_that_postgresql_is_away(tmp_path: Path, receiver: Receiver) -> None:
    settings = {"NOTIFY_URLS": receiver.url, "NOTIFY_HEALTH_SECONDS": "0.1"}
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        environment = environment_of(address_of(postgres), tmp_path / "data") | settings
        with Replica(environment):
            postgres.stop()
            (title,) = await eventually(receiver.titles, within=_SENT)
            assert title == "Cell Monitor: postgres is down"
            receiver.messages.clear()
            postgres.start()


_IN_AUDIT_LOG = """
    SELECT count(*) FILTER (
            WHERE path ~ ('/notification-receivers/' || $1::text || '(/test)?$')
        ) AS entries,
        count(*) FILTER (WHERE detail::text LIKE '%S3cret%') AS secrets
    FROM audit_log
"""
_LONG_AGO = """
    UPDATE notifications SET created_at = now() - interval '30 minutes' WHERE class_id = $1
"""
_USE_KEY = "INSERT INTO ingest_usage VALUES ($1, (now() AT TIME ZONE 'UTC')::date, 9)"
_EXPECTED = {
    "Cell Monitor のテスト通知",
    "Cell Monitor：Redisに異常があります（一部に不具合）",
    "数学：1日の受信上限に近づいています",
    "数学：失効したキーが使われています",
}
