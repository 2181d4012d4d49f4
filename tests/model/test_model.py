"""The pipeline against a few lines of plain Python, whatever happens in whatever order.

MODEL_STEPS=10000 is the long form.
"""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.model import school
from tests.model.plain import Model, Row
from tests.model.reading import Tables, read
from tests.model.system import System
from tests.support.postgres import Address, temporary_database
from tests.support.schema import apply_by_server
from tests.support.waiting import eventually

T = TypeVar("T")

STEPS = int(os.environ.get("MODEL_STEPS", "200"))
STEPS_IN_A_ROW = 50
SETTINGS = settings(
    max_examples=max(1, STEPS // STEPS_IN_A_ROW),
    stateful_step_count=STEPS_IN_A_ROW,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

TYPES = ("cell_executed", "cell_error", "cell_execution_start", "notebook_save", "help", "quiz")
FIELDS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "student": st.sampled_from(school.STUDENTS),
        "class_code": st.sampled_from(("a", "b")),
        "session": st.sampled_from(("s", "t")),
        "notebook": st.sampled_from(("n.ipynb", "m.ipynb")),
        "cell": st.sampled_from(("c", "d")),
    }
)
AGES = st.sampled_from(("new", "old", "untimed"))
ROWS = st.lists(st.builds(school.row, FIELDS, st.booleans(), AGES), min_size=1, max_size=6)


class Machine(RuleBasedStateMachine):
    """What clients, operators and accidents do; after each step tables and model are compared."""

    server: Address  # of PostgreSQL
    template: Address  # a database with the schema and the school

    requests = Bundle[list[Row]]("requests")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.away = False
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._run(self._open())

    async def _open(self) -> None:
        directory = self._stack.enter_context(TemporaryDirectory(prefix="model-"))
        address = await self._stack.enter_async_context(temporary_database(self.server))
        self.admin = await asyncpg.connect(**self.server)
        self._stack.push_async_callback(self.admin.close)
        await self._clone(self.template["database"], address["database"])
        self.system = System(address, self.admin, Path(directory))
        await self.system.open()
        self._stack.push_async_callback(self.system.close)

    def teardown(self) -> None:
        self._run(self._stack.aclose())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _clone(self, source: str, target: str) -> None:
        await self.admin.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        await self.admin.execute(f"CREATE DATABASE {target} TEMPLATE {source}")

    # Clients

    @rule(target=requests, sent=st.lists(ROWS, min_size=1, max_size=5))
    def receive(self, sent: list[list[Row]]) -> MultipleResults[list[Row]]:
        self._receive(sent)
        return multiple(*sent)

    @rule(repeated=requests, sent=ROWS)
    def retry(self, repeated: list[Row], sent: list[Row]) -> None:
        """Twice, at the same time as another request."""
        self._receive([repeated, sent, repeated])

    def _receive(self, sent: list[list[Row]]) -> None:
        """Requests at the same time."""
        sent = [[row for row in rows if not self._is_detached(row)] for rows in sent]
        is_clear = not self.model.unknown
        receipts = self._run(self.system.put([list(map(school.event, rows)) for rows in sent]))
        new = sum(map(self.model.receive, sent))
        assert not any(receipt.rejected for receipt in receipts)
        if is_clear and not any(receipt.spooled for receipt in receipts):
            assert sum(receipt.stored for receipt in receipts) == new
            assert sum(receipt.duplicates for receipt in receipts) == sum(map(len, sent)) - new

    def _is_detached(self, row: Row) -> bool:
        return bool(self.model.is_detached and row.time and row.time < school.NEXT_MONTH)

    # Accidents

    @rule()
    def crash(self) -> None:
        self._run(self.system.crash())

    @rule(target=requests, rows=ROWS, milliseconds=st.integers(0, 20))
    def crash_while_receiving(self, rows: list[Row], milliseconds: int) -> list[Row]:
        received = [row for row in rows if not self._is_detached(row)]
        if self._run(self._crash_while_receiving(received, milliseconds)):
            self.model.receive(received)
        else:
            self.model.unknown |= {row.id: row for row in received if row.id not in self.model.rows}
        return rows

    async def _crash_while_receiving(self, rows: list[Row], milliseconds: int) -> bool:
        """Whether they were acknowledged before."""
        request = asyncio.create_task(self.system.put([list(map(school.event, rows))]))
        await asyncio.sleep(milliseconds / 1000)
        answered = request.done() and request.exception() is None
        await self.system.crash()
        request.cancel()
        await asyncio.wait([request])
        return answered

    @precondition(lambda self: not self.away)
    @rule()
    def go_away(self) -> None:
        self.away = True
        self._run(self.system.go_away())

    @precondition(lambda self: self.away)
    @rule()
    def come_back(self) -> None:
        self.away = False
        self.system.come_back()

    @precondition(lambda self: not self.away)
    @rule()
    def fail_over(self) -> None:
        """To a standby that has everything."""
        self._run(self.system.connections_gone())

    # Jobs

    @precondition(lambda self: not self.away)
    @rule(fails=st.booleans())
    def write_points(self, fails: bool) -> None:
        self._run(self.system.write_points(fails=fails))

    # Teachers and operators

    @precondition(lambda self: not (self.away or self.model.is_detached))
    @rule()
    def withdraw(self) -> None:
        self._run(self._withdraw_or_restore(school.withdraw))
        self.model.withdraw()

    @precondition(lambda self: not (self.away or self.model.is_detached))
    @rule()
    def restore(self) -> None:
        self._run(self._withdraw_or_restore(school.restore))
        self.model.restore()

    async def _withdraw_or_restore(self, request: Any) -> None:
        database = self.system.database
        await request(database)
        self.system.withdrawing.wake()
        await eventually(lambda: school.steps_left(database), lambda left: left == 0)

    @precondition(lambda self: not (self.away or self.model.is_detached))
    @rule(
        student=st.sampled_from(school.STUDENTS),
        classes=st.sampled_from([("a", "b"), ("b", "a"), ("", "a"), ("", "b")]),
    )
    def assign(self, student: str, classes: tuple[str, str]) -> None:
        if student in ("ann", "bob") or any(r.student == student for r in self.model.rows.values()):
            self._run(school.assign(self.system.database, student, *classes))
            self.model.assign(student, *classes)

    @precondition(lambda self: not (self.away or self.model.is_detached))
    @rule()
    def detach(self) -> None:
        self._run(self.system.write_points(fails=False))  # later they would find no rows
        self._run(self._on_tables(school.detach))
        self.model.detach(school.NEXT_MONTH)

    @precondition(lambda self: not self.away and self.model.is_detached)
    @rule()
    def attach(self) -> None:
        self._run(self._on_tables(school.attach))
        self.model.attach()

    async def _on_tables(self, work: Any) -> None:
        connection = await asyncpg.connect(**self.system.address)
        try:
            await work(connection)
        finally:
            await connection.close()

    # What was promised

    @invariant()
    def agree(self) -> None:
        if self.away:
            return
        tables = self._run(self._settled())
        self.model.resolve(set(tables.rows))
        for row in tables.rows.values():
            if (known := self.model.rows.get(row.id)) and known.time is None:
                self.model.rows[row.id] = replace(known, time=row.time)  # that of its first receipt
        differing = set(tables.rows.values()) ^ set(self.model.rows.values())
        assert differing == set()
        assert tables.without_point == set()
        assert tables.states == self.model.executions("student", "class_code")
        names = ("student", "class_code", "notebook", "cell")
        assert tables.cells == self.model.executions(*names)
        assert tables.activity == self.model.activity()
        assert tables.ledger == self.model.ledger()
        counts = self.system.running.ledger.counts()
        outcomes = counts.stored + counts.duplicates + counts.rejected
        assert counts.received == outcomes + counts.spooled + counts.pending

    async def _settled(self) -> Tables:
        await self.system.settle()
        connection = await asyncpg.connect(**self.system.address)
        try:
            return await read(connection, self.system.lines)
        finally:
            await connection.close()


def test_tables_counters_ledger_and_outbox_agree_with_the_model(postgres_server: Address) -> None:
    asyncio.run(check(postgres_server))


async def check(server: Address) -> None:
    async with temporary_database(server) as template:
        await apply_by_server(template)
        connection = await asyncpg.connect(**template)
        await school.found(connection)
        await connection.close()
        machine = type("SchoolMachine", (Machine,), {"server": server, "template": template})
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=SETTINGS)
