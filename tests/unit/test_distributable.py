"""Statements that Citus can run on distributed tables, by their text in the sources.

`tests/servers/test_distributable.py` looks at those that a server sends, and at stored functions.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.statements import commands, refused

SOURCES = sorted((ROOT / "monitor").rglob("*.py"))


def texts(path: Path) -> Iterator[str]:
    """All texts in a module; what an f-string puts in is a word."""
    parsed = ast.parse(path.read_text("utf-8"))
    within = {
        id(value)
        for node in ast.walk(parsed)
        if isinstance(node, ast.JoinedStr)
        for value in node.values
    }
    for node in ast.walk(parsed):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(value.value) if isinstance(value, ast.Constant) else "word"
                for value in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in within
        ):
            yield node.value


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = now() RETURNING d",
        "INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = clock_timestamp()",
        "UPDATE a SET b = CASE WHEN c THEN now() ELSE b END",
        "UPDATE a SET b = COALESCE(b, (SELECT now()))",
        "WITH d AS (SELECT COALESCE(max(e), now()) AS e FROM f) INSERT INTO a SELECT e FROM d",
        "DELETE FROM a WHERE CASE WHEN b THEN (c = 1) AND d < now() END",
        "UPDATE a SET b = CASE c WHEN 'd' THEN 1 ELSE b END",
        "CREATE TEMPORARY TABLE a (b integer)",
        "UPDATE a SET b = 1 RETURNING c, b = now() AS d",
        "WITH a AS (UPDATE b SET c = 1 RETURNING sha256(format('%s', d))) SELECT * FROM a",
        "INSERT INTO a (b, c) SELECT $1, c FROM d WHERE e = $2",
        "WITH b AS (SELECT 1) INSERT INTO a SELECT d.c FROM b CROSS JOIN d ON CONFLICT DO NOTHING",
        "INSERT INTO a SELECT d.b FROM unnest($1::int[], $2::text[]) AS t (b, c) JOIN d USING (b)",
    ],
)
def test_what_citus_refuses_is_seen(text: str) -> None:
    assert list(refused(text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COALESCE(max(a), now()) FROM b FOR UPDATE",
        "UPDATE a SET b = now() WHERE COALESCE(c, 0) = 1 AND CASE WHEN d THEN e END",
        "UPDATE a SET b = LEAST(now(), c), d = 'COALESCE(now())' -- CASE now() END",
        "INSERT INTO a (b) VALUES (now()) ON CONFLICT (c) DO UPDATE SET b = EXCLUDED.b",
        "UPDATE a SET b = now() RETURNING b, c; SELECT now()",
        "WITH b AS (SELECT c FROM d WHERE e = $1) INSERT INTO a SELECT c, $2 FROM b ORDER BY c",
        "WITH b AS (SELECT 1) INSERT INTO a SELECT c FROM (SELECT c FROM b WHERE d) AS e",
        "INSERT INTO a (b, c) SELECT t.b, $1 FROM unnest($2::bigint[], $3::text[]) AS t (b, d)",
    ],
)
def test_what_citus_runs_is_not_refused(text: str) -> None:
    assert not list(refused(text))


def test_no_statement_has_what_citus_refuses() -> None:
    found = {
        f"{path.name}: {what}: {text.strip()[:80]}"
        for path in SOURCES
        for text in texts(path)
        for what in refused(text)
    }
    assert found == set()


def test_no_statement_has_several_commands() -> None:
    found = {
        f"{path.name}: {text.strip()[:80]}"
        for path in SOURCES
        for text in texts(path)
        if text.lstrip().startswith(("SELECT ", "SET ", "WITH ", "INSERT ", "UPDATE ", "DELETE "))
        and len(commands(text)) > 1
    }
    assert found == set()
