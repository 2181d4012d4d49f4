"""Statements that Citus can run on distributed tables, by their text: there is no Citus here."""

import re

import pytest

from tests.support.paths import ROOT

CLAUSE = re.compile(
    r"ON CONFLICT[^;]*?DO UPDATE\s+SET(.*?)(?:\bWHERE\b|\bRETURNING\b|\"\"\"|;)", re.S
)
# Citus computes these on its workers, where each has a clock of its own, and so refuses them.
CLOCK = re.compile(r"\b(?:now|clock_timestamp|statement_timestamp)\(\)")
SOURCES = sorted([*(ROOT / "monitor").rglob("*.py"), *(ROOT / "sql").glob("*.sql")])


def clauses(text: str) -> list[str]:
    """What each INSERT sets where the row is there already."""
    return CLAUSE.findall(text)


@pytest.mark.parametrize("function", ["now()", "clock_timestamp()"])
def test_a_clock_is_seen(function: str) -> None:
    text = f"INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = {function} RETURNING d"
    assert [bool(CLOCK.search(clause)) for clause in clauses(text)] == [True]


def test_a_row_that_is_there_takes_its_time_from_the_new_one() -> None:
    texts = {path: path.read_text() for path in SOURCES}
    assert sum(len(clauses(text)) for text in texts.values()) > 10
    found = {
        path.name
        for path, text in texts.items()
        if any(CLOCK.search(clause) for clause in clauses(text))
    }
    assert found == set()
