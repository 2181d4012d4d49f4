"""A PgBouncer that comes between a running server and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.database.session import SESSION
from tests.chaos.network import Network
from tests.support.events import event, post
from tests.support.postgres import fetch
from tests.support.replicas import Replica
from tests.support.secured import Certificates, PgBouncer, TlsPostgres, tls_postgres
from tests.support.waiting import eventually

DATABASE = """
CREATE ROLE monitor LOGIN;
CREATE DATABASE school OWNER monitor;
ALTER DATABASE school SET synchronous_commit = off;
"""
SAID = "connect to PostgreSQL itself"
pytestmark = pytest.mark.needs("PostgreSQL with TLS", "pgbouncer")


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[TlsPostgres]:
    with tls_postgres(Certificates(tmp_path)) as server:
        server.execute(DATABASE)
        yield server


@pytest.fixture
async def network(postgres: TlsPostgres) -> AsyncIterator[Network]:
    async with Network(postgres.socket) as network:
        yield network


async def state(replica: Replica) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=15) as client:
        health: dict[str, Any] = (await client.get(f"{replica.url}/health")).json()
        return health


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
@pytest.mark.parametrize("ignored", ["", ",".join(SESSION)], ids=["strict", "ignoring"])
async def test_a_pooler_that_comes_in_between_is_noticed_and_said(
    postgres: TlsPostgres, network: Network, tmp_path: Path, pool_mode: str, ignored: str
) -> None:
    environment = {
        "POSTGRES_SERVER": "127.0.0.1",
        "POSTGRES_PORT": str(network.port),
        "POSTGRES_USER": "monitor",
        "POSTGRES_DB": "school",
        "DATA_DIR": str(tmp_path / "data"),
    }
    (tmp_path / "pgbouncer").mkdir()
    settings = {"pool_mode": pool_mode, "ignore_startup_parameters": ignored}
    replica = Replica(environment)
    pooler = PgBouncer(tmp_path / "pgbouncer", postgres.address("monitor", "school"), **settings)
    try:
        await asyncio.to_thread(replica.start)
        assert (await post(replica, event())).json()["stored"] == 1
        await asyncio.to_thread(pooler.start)
        network.lead_to(pooler.socket)
        for _ in range(3):
            assert (await post(replica, event())).json()["spooled"] == 1
        said = await state(replica)
        assert said["status"] == "degraded"
        assert SAID in str(said["postgres"])
        assert SAID in replica.output()
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
            answer = await api.post("/classes", json={"name": "A", "class_code": "A"})
            assert answer.status_code == 503
        network.lead_to(postgres.socket)

        async def drained() -> bool:
            ledger = (await state(replica))["ledger"]["process"]
            return bool(ledger["stored"] == 4 and ledger["spooled"] == 0)

        await eventually(drained, within=30)
    finally:
        await asyncio.to_thread(replica.stop)
        await asyncio.to_thread(pooler.stop)
        replica.log.close()
    address = postgres.address("postgres", "school")
    (counted,) = await fetch(address, "SELECT count(*) AS rows FROM cell_executions")
    assert counted["rows"] == 4
