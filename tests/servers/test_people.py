"""Credentials of identity providers, the two modes, and the command line."""

import asyncio
import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.lms import create_class
from tests.support.paths import ROOT
from tests.support.provider import EC, RSA, confused_token, run_provider, signed_token
from tests.support.replicas import RUN_CHECKING_OFTEN, Replica
from tests.support.tokens import SECRET, bearer, client, token
from tests.support.waiting import eventually


async def status(replica: Replica, credential: str, path: str = "/audit") -> int:
    async with client(replica.url, credential) as api:
        return (await api.get(path)).status_code


async def status_in_url(replica: Replica, credential: str) -> int:
    async with client(replica.url, None) as api:
        return (await api.post("/events", json=[], params={"token": credential})).status_code


async def test_an_openid_provider_and_a_hub_say_who_somebody_is(
    environment: dict[str, str],
) -> None:
    with run_provider() as provider:
        secured = {**environment, **provider.settings, "JWT_SECRET": SECRET}
        with Replica(secured) as replica:
            assert await status(replica, signed_token(RSA, "RS256", "r")) == 200
            assert await status(replica, signed_token(EC, "ES256", "e")) == 200
            assert await status(replica, signed_token(EC, "ES256", "e", role="student")) == 403
            stranger = rsa.generate_private_key(65537, 2048)
            for forged in (
                signed_token(stranger, "RS256", "r"),
                signed_token(RSA, "RS256", "unknown"),
                signed_token(EC, "ES256", "r"),
                signed_token(RSA, "RS512", "r"),
                signed_token("x" * 40, "HS256", "r"),
                confused_token(),
                signed_token(RSA, "RS256", "r", iss="https://elsewhere"),
                signed_token(RSA, "RS256", "r", aud="another"),
                signed_token(RSA, "RS256", "r", exp=1),
                "a\r\nX-Admin: true",
                "\0",
            ):
                assert await status_in_url(replica, forged) == 401, forged
            assert await status(replica, "hub-admin") == 200
            assert await status(replica, "hub-teacher") == 403
            assert await status(replica, "hub-teacher", "/ingest-keys") == 200
            assert await status(replica, "hub-student", "/ingest-keys") == 403
            assert await status(replica, "hub-student", "/classes") == 200
            assert await status(replica, "hub-service") == 401
            assert await status(replica, "hub-nobody") == 401


async def test_a_token_that_the_hub_issued_to_somebody_else_is_refused(
    environment: dict[str, str],
) -> None:
    """Or who runs another service, or a server of their own, would act as those who visit it."""
    with run_provider() as provider, Replica({**environment, **provider.settings}) as replica:
        assert await status(replica, "hub-admin", "/classes") == 200
        for text in (
            "hub-other-service",
            "hub-students-server",
            "hub-namesakes-server",
            "hub-without-scopes",
        ):
            async with client(replica.url, text) as api:
                answer = await api.get("/classes")
            assert answer.status_code == 401, text
            assert "make one of your own" in answer.json()["detail"]


async def test_the_claims_with_name_and_role_are_those_of_the_settings(
    environment: dict[str, str],
) -> None:
    named = {
        "JWT_SECRET": SECRET,
        "JWT_ISSUER": "https://login.school.example",
        "JWT_AUDIENCE": "school",
        "JWT_USER_CLAIM": "login",
        "JWT_ROLE_CLAIM": "groups",
    }
    said: dict[str, Any] = {
        "iss": "https://login.school.example",
        "aud": "school",
        "login": "sensei",
        "role": "student",
        "groups": ["1-A", "instructor"],
    }
    with Replica({**environment, **named}) as replica:
        async with client(replica.url, token("7f3a", **said)) as api:
            lesson = await create_class(api)
            roster = (await api.get(f"/classes/{lesson['id']}/students")).json()
            (teacher,) = [each for each in roster if each["role"] == "teacher"]
            assert teacher["user_id"] == "sensei"
        for wrong in ({"iss": "cell-monitor"}, {"aud": "cell-monitor"}, {"login": None}):
            assert await status(replica, token("7f3a", **said | wrong), "/classes") == 401, wrong
        minted = command({**environment, **named}, "mint-token", "root", "--role", "admin")
        assert await status(replica, minted.stdout.strip()) == 200


async def test_an_address_that_is_not_verified_is_nobodys_name(
    environment: dict[str, str],
) -> None:
    """At some providers anybody may enter the address of somebody else."""
    with run_provider() as provider:
        secured = {**environment, **provider.settings, "JWT_SECRET": SECRET}
        secured["JWT_USER_CLAIM"] = "email"
        with Replica(secured) as replica:
            email = "root@school.example"
            for unverified in ({}, {"email_verified": False}, {"email_verified": "false"}):
                text = signed_token(RSA, "RS256", "r", email=email, **unverified)
                async with client(replica.url, text) as api:
                    answer = await api.get("/audit")
                assert answer.status_code == 401, unverified
                assert "doesn't say that its email is verified" in answer.json()["detail"]
            for verified in (True, "true"):
                text = signed_token(RSA, "RS256", "r", email=email, email_verified=verified)
                assert await status(replica, text) == 200
            minted = command(secured, "mint-token", email, "--role", "admin").stdout.strip()
            assert await status(replica, minted) == 200


async def test_tokens_with_unknown_keys_are_no_flood_at_the_provider(
    environment: dict[str, str],
) -> None:
    with run_provider() as provider, Replica({**environment, **provider.settings}) as replica:
        provider.is_down = True
        tokens = [signed_token(RSA, "RS256", f"r{number}") for number in range(50)]
        statuses = await asyncio.gather(*(status(replica, token) for token in tokens))
        assert set(statuses) == {503}
        assert provider.asked == ["/jwks"]


async def test_a_token_that_the_hub_has_refused_is_not_believed_when_the_hub_is_away(
    environment: dict[str, str],
) -> None:
    with (
        run_provider() as provider,
        Replica(environment | provider.settings, command=RUN_CHECKING_OFTEN) as replica,
    ):
        assert await status(replica, "hub-admin") == 200
        del provider.users["hub-admin"]
        await eventually(partial(status, replica, "hub-admin"), lambda code: code == 401)
        provider.is_down = True
        assert await status(replica, "hub-admin") == 503


async def test_who_cannot_be_asked_now_is_a_matter_of_time(environment: dict[str, str]) -> None:
    away = {"JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api"}
    with Replica({**environment, **away}) as replica:
        assert await status(replica, "hub-admin") == 503


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_the_command_line_makes_the_first_administrator_and_keys(
    environment: dict[str, str],
) -> None:
    secured = {**environment, "JWT_SECRET": SECRET}
    with Replica(secured) as replica:
        minted = command(secured, "mint-token", "root", "--role", "admin").stdout.strip()
        assert await status(replica, minted) == 200
        key = json.loads(command(secured, "keys", "create", "初めての鍵").stdout)
        rotated = json.loads(command(secured, "keys", "rotate", str(key["id"])).stdout)
        events = [{"eventType": "help", "userId": "hanako"}]
        async with httpx.AsyncClient() as api:
            for each in (key, rotated):
                url = f"{replica.events_url}?key={each['key']}"
                deadline = time.monotonic() + 10  # seconds; another process has made it
                while (await api.post(url, json=events)).status_code != 202:
                    assert time.monotonic() < deadline
            command(secured, "keys", "revoke", str(key["id"]))
            deadline = time.monotonic() + 10  # seconds; another process has done it
            url = f"{replica.events_url}?key={key['key']}"
            while (await api.post(url, json=events)).status_code != 401:
                assert time.monotonic() < deadline
            entries = (await api.get(f"{replica.url}/api/v1/audit", headers=bearer(minted))).json()
    listed = json.loads(command(secured, "keys", "list").stdout)
    assert [each["name"] for each in listed] == ["初めての鍵"] * 2
    assert [each["operation"] for each in entries] == ["keys create", "keys rotate", "keys revoke"]


def test_what_a_command_lacks_is_said(environment: dict[str, str]) -> None:
    done = command(environment, "mint-token", "root")
    assert done.returncode == 1
    assert "JWT_SECRET" in done.stderr


def test_a_run_that_would_be_open_to_all_does_not_start(environment: dict[str, str]) -> None:
    done = command({**environment, "HOST": "0.0.0.0"})
    assert done.returncode == 2
    assert "JWT_SECRET" in done.stderr
