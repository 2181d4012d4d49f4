"""A background job that fails: the server goes on, says so, and tries again."""

from typing import Any

import asyncpg
import httpx

from tests.support.postgres import Address
from tests.support.replicas import Replica
from tests.support.waiting import eventually
from tests.support.wire import item


async def test_a_job_that_fails_is_reported_and_tried_again(
    environment: dict[str, str], postgres: Address
) -> None:
    with Replica(environment) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:

            async def health() -> dict[str, Any]:
                answer = await client.get("/health")
                assert answer.status_code == 200
                report: dict[str, Any] = answer.json()
                return report

            report = await eventually(health, lambda report: report["status"] == "ok")
            assert {name: job["state"] for name, job in report["jobs"].items()} == {
                "access_report": "ok",
                "ingest_keys": "ok",
                "handlers": "off",
                "housekeeping": "ok",
                "refusal_log": "ok",
                "token_revocations": "ok",
                "workers": "ok",
                "clustering": "ok",
                "counting": "ok",
                "spool_drain": "ok",
                "withdrawing": "ok",
            }
            admin = await asyncpg.connect(**postgres)
            await admin.execute("ALTER FUNCTION count_batches RENAME TO absent")
            report = await eventually(health, lambda report: report["status"] == "degraded")
            assert report["jobs"]["counting"]["state"] == "degraded"
            assert "count_batches" in report["jobs"]["counting"]["error"]
            assert report["postgres"]["state"] == report["spool"]["state"] == "ok"
            answer = await client.post("/api/v1/events", json=[item()])
            assert answer.json()["stored"] == 1
            await admin.execute("ALTER FUNCTION absent RENAME TO count_batches")
            await eventually(health, lambda report: report["status"] == "ok")
            await admin.close()
            assert replica.output().count("Counting waits: PostgreSQL: function count_batches") == 1
            assert "Traceback" not in replica.output()
            assert replica.output().count("Counting works again") == 1
