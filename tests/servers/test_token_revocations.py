"""People's tokens: a leeway for clocks that differ, and revoking before they expire."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from monitor.auth.principal import person
from monitor.auth.revocations import Revocations, revoke
from monitor.database.pool import Database
from monitor.errors import Unauthenticated, Unavailable
from tests.support.audit import last_changes
from tests.support.factories import deadline_soon
from tests.support.lms import unique
from tests.support.paths import ROOT
from tests.support.postgres import Address
from tests.support.replicas import RUN_CHECKING_OFTEN, Replica
from tests.support.tokens import SECRET, bearer, client, token
from tests.support.waiting import eventually


def issued(name: str, seconds_ago: float = 0.0, role: str = "student", **claims: Any) -> str:
    return token(name, role, iat=time.time() - seconds_ago, **claims)


async def status(url: str, text: str) -> int:
    async with httpx.AsyncClient(base_url=f"{url}/api/v1") as api:
        return (await api.get("/classes", headers=bearer(text))).status_code


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iat": 1}, 200),
        ({"iat": 45}, 200),
        ({"nbf": 1}, 200),
        ({"nbf": 45}, 200),
        ({"exp": -45}, 200),
        ({"iat": 90}, 401),
        ({"nbf": 90}, 401),
        ({"exp": -90}, 401),
    ],
)
async def test_clocks_may_differ_by_a_minute(
    guarded_school: Replica, claims: dict[str, int], expected: int
) -> None:
    now = int(time.time())
    times: dict[str, Any] = {name: now + seconds for name, seconds in claims.items()}
    assert await status(guarded_school.url, token("hanako", **times)) == expected


async def test_a_clock_that_is_ahead_is_named(guarded_school: Replica) -> None:
    async with client(guarded_school.url, token("hanako", nbf=int(time.time()) + 90)) as api:
        answer = await api.get("/classes")
    assert "clocks" in answer.json()["detail"]


async def revoke_at(url: str, name: str) -> dict[str, Any]:
    async with client(url, token("root", "admin")) as api:
        answer = await api.post("/token-revocations", json={"user_id": name})
    assert answer.status_code == 201, answer.text
    revocation: dict[str, Any] = answer.json()
    return revocation


async def test_all_tokens_of_a_person_that_were_issued_before_are_refused(
    guarded_school: Replica,
) -> None:
    url, name, other = guarded_school.url, unique("hanako"), unique("taro")
    old = [
        issued(name, 100, exp=time.time() + 1e6),
        issued(name, 100, role="instructor"),
        issued(name),
        token(name),  # which doesn't say when it was issued
    ]
    for each in old:
        assert await status(url, each) == 200  # and trusted for a while
    assert await status(url, issued(other, 100)) == 200
    revocation = await revoke_at(url, name)
    assert (revocation["user_id"], revocation["revoked_by"]) == (name, "root")
    for each in old:
        assert await status(url, each) == 401
    assert await status(url, issued(other, 100)) == 200
    await asyncio.sleep(0.01)
    new = issued(name)
    assert await status(url, new) == 200
    await revoke_at(url, name)
    assert await status(url, new) == 401
    async with client(url, token("root", "admin")) as api:
        listed = (await api.get("/token-revocations", params={"limit": 500})).json()
        assert [each["user_id"] for each in listed].count(name) == 1
        (entry,) = await last_changes(api, 1)
    assert (entry["operation"], entry["detail"]) == (
        "POST /api/v1/token-revocations",
        {"user_id": name},
    )


async def test_what_is_revoked_is_said(guarded_school: Replica) -> None:
    name = unique("hanako")
    await revoke_at(guarded_school.url, name)
    async with client(guarded_school.url, issued(name, 5)) as api:
        assert "sign in again" in (await api.get("/classes")).json()["detail"]
        events = [{"eventType": "help", "userId": name}]
        assert (await api.post("/events", json=events)).status_code == 401


async def test_every_replica_and_each_open_socket_learn_of_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    secured = {**environment, "JWT_SECRET": SECRET}
    other = {**secured, "DATA_DIR": str(tmp_path / "other")}
    with Replica(secured) as one, Replica(other, command=RUN_CHECKING_OFTEN) as two:
        text = issued("hanako", 5)
        async with socket(two, text) as live, socket(two, issued("taro", 5)) as untouched:
            await live.recv()
            done = await asyncio.to_thread(command, secured, "tokens", "revoke", "hanako")
            assert json.loads(done.stdout)["user_id"] == "hanako"
            for replica in (one, two):
                await eventually(partial(status, replica.url, text), lambda code: code == 401)
            await asyncio.wait_for(live.wait_closed(), 45)
            assert live.close_code == 4401
            await untouched.send('{"action": "ping"}')
        listed = json.loads(command(secured, "tokens", "list").stdout)
        assert [(each["user_id"], each["revoked_by"]) for each in listed] == [
            ("hanako", "command line")
        ]
        async with client(one.url, token("root", "admin")) as api:
            (entry,) = (await api.get("/audit")).json()
        assert (entry["operation"], entry["detail"]["user_id"]) == ("tokens revoke", "hanako")


@asynccontextmanager
async def socket(replica: Replica, text: str) -> AsyncIterator[ClientConnection]:
    protocols: Any = ["cell-monitor", f"bearer.{text}"]
    url = f"ws://127.0.0.1:{replica.port}/ws"
    async with connect(url, proxy=None, subprotocols=protocols) as live:
        yield live


def command(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_revocations_hold_while_postgresql_is_away(
    database: Database, postgres: Address, tmp_path: Path
) -> None:
    path = tmp_path / "revoked-tokens.json"
    ann = person("student", "ann", issued_at=time.time())
    ben = person("student", "ben", issued_at=time.time())
    first = Revocations(database, path)
    with pytest.raises(Unavailable):
        first.check(ann)
    await first.start()
    first.check(ann)
    async with database.transaction() as connection:
        await revoke(connection, "ann", "root")
    await eventually(path.read_bytes, lambda content: b"ann" in content)
    await first.stop(deadline_soon())
    away = Database({**postgres, "port": 1}, 1, 1.0)
    await away.open()
    later = Revocations(away, path)
    await later.start()
    with pytest.raises(Unauthenticated):
        later.check(ann)
    later.check(ben)
    assert (await later.health()).state == "degraded"
    await later.stop(deadline_soon())
    await away.close(1.0)


async def test_a_restored_database_has_the_last_word(database: Database, tmp_path: Path) -> None:
    revocations = Revocations(database, tmp_path / "revoked-tokens.json")
    ann = person("student", "ann", issued_at=time.time())
    async with database.transaction() as connection:
        await revoke(connection, "ann", "root")
    await revocations.refresh()
    with pytest.raises(Unauthenticated):
        revocations.check(ann)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM token_revocations")
    await revocations.refresh()
    revocations.check(ann)


def test_a_token_is_minted_for_a_role_that_is_named() -> None:
    secured = {"JWT_SECRET": SECRET}
    unnamed = command(secured, "mint-token", "root")
    assert (unnamed.returncode, unnamed.stdout) == (1, "")
    for role in ("student", "instructor", "admin"):
        assert f"--role {role}" in unnamed.stderr
        minted = command(secured, "mint-token", "a b", "--role", role)
        assert len(minted.stdout.split(".")) == 3
        assert f"for a b as {role}, valid for 12 hours" in minted.stderr
        assert "tokens revoke 'a b'" in minted.stderr
    assert "no default" in command(secured, "mint-token", "--help").stdout
