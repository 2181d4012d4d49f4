"""Only the owner has to be able to change the schema, with the command `migrate`."""

import asyncio
import re
import uuid
from datetime import timedelta
from pathlib import Path

import httpx

from monitor.database.partitions import month_of
from tests.support.factories import now
from tests.support.postgres import (
    Address,
    environment_of,
    fetch,
)
from tests.support.replicas import Replica
from tests.support.schema import (
    FILES,
    applied,
    apply_by_server,
    migrate_by_command,
    restore,
    role_of,
    run_migrate,
    tables,
)
from tests.support.tokens import SECRET
from tests.support.waiting import eventually


async def test_a_user_without_rights_serves_while_nothing_is_missing(
    postgres: Address, tmp_path: Path
) -> None:
    await apply_by_server(postgres)
    second_month = month_of(month_of(now()) + timedelta(days=62))
    await fetch(postgres, f"DROP TABLE events_{second_month:%Y_%m}")
    async with role_of(postgres) as writer, httpx.AsyncClient(timeout=15) as client:
        with Replica(environment_of(writer, tmp_path / "data")) as replica:
            body = [{"eventType": "cell_executed", "userId": "hanako"}]
            assert (await client.post(replica.events_url, json=body)).json()["stored"] == 1
            health = (await client.get(f"{replica.url}/health")).json()
            assert health["status"] == "ok"
            assert "1 more months only: run `cell-monitor migrate`" in health["postgres"]["warning"]
            event = {"eventId": str(uuid.uuid4()), "eventType": "help", "userId": "hanako"}
            for outcome in ("stored", "duplicates"):
                answer = (await client.post(replica.events_url, json=[event])).json()
                assert answer[outcome] == 1
            assert (await client.get(f"{replica.url}/api/v1/students")).json()[0]["id"] == 1


async def test_user_without_rights_spools_until_migration(
    postgres: Address, tmp_path: Path
) -> None:
    await restore(postgres)
    async with role_of(postgres) as writer, httpx.AsyncClient(timeout=15) as client:
        with Replica(environment_of(writer, tmp_path / "data")) as replica:
            body = [{"eventType": "survey", "userId": "nobody else"}]
            assert (await client.post(replica.events_url, json=body)).json()["spooled"] == 1
            health = (await client.get(f"{replica.url}/health")).json()
            advice = f"`run.py migrate`) with POSTGRES_USER={postgres['user']}"
            assert advice in health["postgres"]["error"]
            assert 1 <= replica.output().count(advice) <= 3  # not at each attempt
            await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
            query = "SELECT count(*) FROM students WHERE user_id = 'nobody else'"
            await eventually(lambda: fetch(postgres, query), lambda rows: rows == [{"count": 1}])


async def test_jobs_without_a_schema_say_once_what_to_do(postgres: Address, tmp_path: Path) -> None:
    jobs = ("Looking up ingest keys", "Housekeeping", "Clustering", "Counting")
    async with role_of(postgres) as writer, httpx.AsyncClient(timeout=15) as client:
        environment = environment_of(writer, tmp_path / "data") | {"JWT_SECRET": SECRET}
        with Replica(environment) as replica:
            said = [f"{job} waits: " for job in jobs]
            await eventually(lambda: all(each in replica.output() for each in said))
            await asyncio.sleep(1)  # they fail again
            output = replica.output()
            for job in jobs:
                (line,) = [line for line in output.splitlines() if f"{job} waits: " in line]
                assert "`run.py migrate`) as its owner" in line
            assert "Traceback" not in output
            await asyncio.to_thread(migrate_by_command, postgres, tmp_path)

            async def health() -> str:
                answer = await client.get(f"{replica.url}/health")
                return str(answer.json()["status"])

            await eventually(health, lambda status: status == "ok")


async def test_the_command_needs_the_owner(postgres: Address, tmp_path: Path) -> None:
    await restore(postgres)
    async with role_of(postgres) as writer:
        failed = await asyncio.to_thread(run_migrate, writer, tmp_path)
        assert failed.returncode == 1
        assert f"with POSTGRES_USER={postgres['user']}\n" in failed.stderr
        await apply_by_server(postgres)
        failed = await asyncio.to_thread(run_migrate, writer, tmp_path)
        assert failed.returncode == 1
        assert "as the owner of the schema\n" in failed.stderr
        assert "Traceback" not in failed.stderr


async def test_the_command_says_how_to_connect_and_what_to_grant(
    postgres: Address, tmp_path: Path
) -> None:
    await apply_by_server(postgres)
    async with role_of(postgres) as writer:
        await fetch(postgres, f"REVOKE SELECT ON schema_migrations FROM {writer['user']}")
        for address, advice in (
            (writer, "grant the server's user SELECT, "),
            (postgres | {"database": "nobodys"}, "does not exist: create it with CREATE DATABASE"),
            (postgres | {"user": "nobody"}, "or POSTGRES_USER and POSTGRES_PASSWORD"),
        ):
            failed = await asyncio.to_thread(run_migrate, address, tmp_path, "--dry-run")
            assert failed.returncode == 1
            assert advice in failed.stderr
            assert "Traceback" not in failed.stderr


async def test_the_command_says_what_it_would_do_and_does_it(
    postgres: Address, tmp_path: Path
) -> None:
    said = await asyncio.to_thread(migrate_by_command, postgres, tmp_path, "--dry-run")
    assert await tables(postgres) == []
    assert said.startswith("Would apply 0001_first_version.sql\nWould apply 0002_outboxes.sql\n")
    assert said.endswith("Nothing was changed\n")
    done = await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
    assert done.endswith("The schema is up to date\n")
    assert await applied(postgres) == list(range(1, len(FILES) + 1))
    partitions = re.findall(r"Would create partition (\w+)", said)
    assert partitions == re.findall(r"Creating partition (\w+)", done)
    assert len(partitions) >= 3 * (12 + 1 + 12)
    for partition in partitions:
        (row,) = await fetch(
            postgres, "SELECT relispartition FROM pg_class WHERE relname = $1", partition
        )
        assert row["relispartition"]
    again = await asyncio.to_thread(migrate_by_command, postgres, tmp_path)
    assert again == "The schema is up to date\n"
