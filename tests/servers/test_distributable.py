"""What a server sends, and what is stored in its schema, is what Citus can run.

There is no Citus here: its refusals are looked for by the texts of statements, and its error for a
duplicate is raised by a trigger. docs/scaling.md says what was run on Citus itself.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from monitor.database.embedded.server import EmbeddedPostgres
from monitor.errors import Unavailable
from tests.support.factories import deadline_soon, make_event
from tests.support.paths import ROOT
from tests.support.postgres import address_of, environment_of
from tests.support.replicas import Replica
from tests.support.sinks import retry_of, sink_on
from tests.support.statements import FROM_TABLE, commands, refused

SCALING = ROOT / "docs" / "scaling.md"
MARK = "@@@"  # begins each line of the log, but not those that go on
LOG = ("log_statement = 'all'", f"log_line_prefix = '{MARK}'", "log_min_error_statement = 'error'")
STATEMENT = re.compile(r"LOG:\s+(?:statement|execute [^:]*): (.*)", re.DOTALL)
EVENTS = [
    {"eventId": f"{number:032x}", "eventType": kind, "userId": "hanako", "cellId": "c"}
    | {"eventTime": "2026-01-01T00:00:00Z", "notebookPath": "a.ipynb", "sessionId": "s"}
    for number, kind in enumerate(("cell_executed", "cell_error", "notebook_saved", "help"))
]
FUNCTIONS = """
    SELECT proname, prosrc, lanname FROM pg_proc JOIN pg_language AS l ON l.oid = prolang
    WHERE pronamespace = 'public'::regnamespace AND lanname IN ('sql', 'plpgsql')
"""
TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
"""
# What Citus 14 answers to COPY: a unique violation as an internal error, in the server's language.
LIKE_CITUS = """
    CREATE FUNCTION like_citus() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_query() LIKE 'COPY%' AND EXISTS (
            SELECT FROM cell_executions AS e
            WHERE (e.student_id, e.executed_at, e.event_id)
                = (NEW.student_id, NEW.executed_at, NEW.event_id)
        ) THEN
            RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE =
                '重複したキー値は一意性制約"cell_executions_2026_11_pkey_102072"違反となります';
        END IF;
        RETURN NEW;
    END $$
"""
BROKEN = """
    CREATE FUNCTION like_citus() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = 'the index is broken';
    END $$
"""
TRIGGER = """
    CREATE TRIGGER like_citus BEFORE INSERT ON cell_executions
    FOR EACH ROW EXECUTE FUNCTION like_citus()
"""


class Log:
    """A PostgreSQL of its own that writes down every statement."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server

    def statements(self) -> set[str]:
        text = self.server.log.read_text("utf-8", "replace")
        found = (STATEMENT.match(entry.strip()) for entry in text.split(MARK))
        return {match[1] for match in found if match}


@pytest.fixture
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Log]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("logged")) as server:
        connection = await asyncpg.connect(**address_of(server))
        for setting in LOG:
            await connection.execute(f"ALTER SYSTEM SET {setting}")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        yield Log(server)


async def use(api: httpx.AsyncClient) -> None:
    """What a lesson does, and each read that needs no more than what is there."""
    for _ in range(2):  # the second time all are duplicates
        answer = await api.post("/events", json=[*EVENTS, {"eventType": "help"}])
        assert answer.status_code == 202, answer.text
    body = {"name": "A", "class_code": "a", "join_policy": "approve"}
    class_id = (await api.post("/classes", json=body)).raise_for_status().json()["id"]
    key = (await api.post("/ingest-keys", json={"class_id": class_id, "name": "k"})).json()["key"]
    joining = [EVENTS[0] | {"userId": user, "eventId": f"{user:0>32}"} for user in ("1", "2")]
    (await api.post(f"/events?key={key}", json=joining)).raise_for_status()
    waiting = (await api.get(f"/classes/{class_id}/waiting")).json()
    student_id = waiting[0]["student_id"]
    line = f"/classes/{class_id}/students/{student_id}"
    (await api.put(line, json={"role": "student"})).raise_for_status()
    assert (await api.delete(line)).status_code < 300
    document = (await api.get("/openapi.json")).json()
    for path, calls in document["paths"].items():
        if "get" in calls and path.startswith("/api/v1/"):
            filled = path.removeprefix("/api/v1").replace("{class_id}", str(class_id))
            answer = await api.get(re.sub(r"\{\w+\}", "1", filled))
            assert answer.status_code < 500, answer.text


async def test_what_a_server_sends_is_what_citus_can_run(log: Log, tmp_path: Path) -> None:
    environment = environment_of(address_of(log.server), tmp_path / "data")
    with Replica(environment) as replica:
        before = log.statements()  # those of migrations are among them
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1", timeout=30) as api:
            await use(api)
            await asyncio.sleep(4)  # for a round of each job
    sent = log.statements() - before
    assert {each.split()[0] for each in sent} >= {"COPY", "INSERT", "UPDATE", "WITH", "SELECT"}
    assert any("insert_new" in each or "unnest($1::bigint[]" in each for each in sent)
    assert [each for each in before | sent if len(commands(each)) > 1] == []
    assert {each: list(refused(each)) for each in sent if list(refused(each))} == {}


async def test_stored_functions_are_what_citus_can_run(pool: asyncpg.Pool) -> None:
    functions = await pool.fetch(FUNCTIONS)
    tables = "|".join(row["relname"] for row in await pool.fetch(TABLES))
    uses_tables = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?(?:{tables})\b")
    assert len(functions) > 50
    assert sum(bool(uses_tables.search(row["prosrc"])) for row in functions) > 25
    for row in functions:
        if row["lanname"] == "sql":
            assert not uses_tables.search(row["prosrc"]), f"{row['proname']} has to be in PL/pgSQL"
        for command in commands(row["prosrc"]):
            assert set(refused(command)) <= {FROM_TABLE}, row["proname"]


async def test_docs_name_the_functions_that_citus_does_not_run_yet(pool: asyncpg.Pool) -> None:
    open_ = {
        row["proname"]
        for row in await pool.fetch(FUNCTIONS)
        if any(FROM_TABLE in refused(command) for command in commands(row["prosrc"]))
    }
    row = re.search(r"^\| `INSERT … SELECT` from a table.*$", SCALING.read_text(), re.MULTILINE)
    assert row
    assert open_ == set(re.findall(r"`(\w+_\w+)`", row[0]))


async def test_a_duplicate_is_known_whatever_the_language_of_the_error(pool: asyncpg.Pool) -> None:
    await pool.execute(LIKE_CITUS)
    await pool.execute(TRIGGER)
    sink, event = sink_on(pool), make_event()
    assert len((await sink.write([event], deadline_soon())).events) == 1
    again, other = retry_of(event), make_event()
    stored = await sink.write([again, other], deadline_soon())
    assert stored.duplicates == [0]
    assert [each.id for each in stored.events] == [other.id]
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 2


async def test_an_internal_error_of_something_else_is_raised(pool: asyncpg.Pool) -> None:
    await pool.execute(BROKEN)
    await pool.execute(TRIGGER)
    with pytest.raises(Unavailable, match="the index is broken"):
        await sink_on(pool).write([make_event()], deadline_soon())
    assert await pool.fetchval("SELECT count(*) FROM cell_executions") == 0
