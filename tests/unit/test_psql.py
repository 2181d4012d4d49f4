"""Splitting a migration: as psql does, or not at all."""

import pytest

from monitor.database.psql import Step, steps


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1/**/AS one;", ["SELECT 1 AS one"]),
        ("SELECT a$b$; SELECT c$b$;", ["SELECT a$b$", "SELECT c$b$"]),
        ("SELECT $é$;$é$;", ["SELECT $é$;$é$"]),
        ("SELECT name'a;\\'; SELECT E'\\';';", ["SELECT name'a;\\'", "SELECT E'\\';'"]),
        ("BEGIN;\nCOMMIT  -- no semicolon\n", ["BEGIN", "COMMIT"]),
    ],
)
def test_statements_end_where_they_do_for_psql(script: str, statements: list[str]) -> None:
    assert [step.text for step in steps(script)] == statements


def test_commands_are_steps_of_their_own() -> None:
    script = "SELECT true AS wanted \\gset\n\\if :wanted\nSELECT 1;\n\\endif\n"
    assert list(steps(script)) == [
        Step("gset", "SELECT true AS wanted", 1),
        Step("if", "wanted", 2),
        Step("run", "SELECT 1", 3),
        Step("endif", "", 4),
    ]


@pytest.mark.parametrize(
    "command",
    [
        "\\else",
        "\\elif :other",
        "\\echo done",
        "\\if true",
        "\\if :nested",
        "SELECT 1 AS one \\gset prefix_",
        "SELECT 1 \\gexec",
    ],
)
def test_what_only_psql_can_do_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match="Line 2: migrations only use"):
        list(steps(f"\\if :wanted\n{command}\n\\endif\n"))
