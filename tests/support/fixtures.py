"""Fixtures that several modules make with settings of their own."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest

from tests.support.postgres import Address, environment_of, temporary_database
from tests.support.replicas import Replica


def replica_fixture(scope: Literal["session", "module"], **settings: str) -> Callable[..., Any]:
    """A fixture: one replica with these settings and a database of its own for the whole scope."""

    @pytest.fixture(scope=scope)
    async def replica(
        postgres_server: Address, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[Replica]:
        async with temporary_database(postgres_server) as address:
            environment = environment_of(address, tmp_path_factory.mktemp("replica"))
            with Replica(environment | settings) as replica:
                yield replica

    return replica
