"""What Citus can't run on distributed tables, looked for in the text of statements."""

import re
from collections.abc import Iterator

from monitor.database import psql

# Citus refuses a clock where it might not be asked, and doesn't ask it on a worker for all.
CLOCKS = frozenset({"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp"})
_COMMENT_OR_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:''|[^'])*'", re.DOTALL)
_WORD = re.compile(r"\w+|[()]")
_WRITES = re.compile(
    r"\bINSERT\s+INTO\b|\bDELETE\s+FROM\b|(?<!FOR )(?<!KEY )(?<!DO )\bUPDATE\b|\bMERGE\s+INTO\b"
)
_TEMPORARY = re.compile(r"\bTEMP(?:ORARY)?\s+(?:TABLE|SEQUENCE|VIEW)\b|\bpg_temp\b", re.IGNORECASE)
_SIMPLE_CASE = re.compile(r"\bCASE\s+(?!WHEN\b)[\w.]+\s+WHEN\b")
_SET = re.compile(
    r"ON CONFLICT[^;]*?DO UPDATE\s+SET(.*?)(?:\bWHERE\b|\bRETURNING\b|;|$)", re.DOTALL
)


def commands(text: str) -> list[str]:
    """The commands in a text, as PostgreSQL separates them."""
    return [step.text for step in psql.steps(text) if step.text]


def refused(text: str) -> Iterator[str]:
    """What Citus would refuse in a command, in words."""
    plain = _COMMENT_OR_TEXT.sub("''", text)
    if _TEMPORARY.search(plain):
        yield "a temporary table"
    if not _WRITES.search(plain):
        return
    if _SIMPLE_CASE.search(plain):
        yield "CASE a WHEN b, whose b gets lost, in what writes"
    if _has_clock_in_choice(plain):
        yield "a clock in CASE or COALESCE of what writes"
    if any(_clocks(each) for each in _SET.findall(plain)):
        yield "a clock in DO UPDATE SET"


def _clocks(text: str) -> bool:
    return any(f"{clock}(" in text for clock in CLOCKS)


def _has_clock_in_choice(text: str) -> bool:
    open_, words = [], _WORD.findall(text)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in {"(", "COALESCE", "CASE"}:
            open_.append(word)
        elif word == ")" and open_:
            open_.pop()
            if open_ and open_[-1] == "COALESCE":
                open_.pop()
        elif word == "END" and open_ and open_[-1] == "CASE":
            open_.pop()
        elif word in CLOCKS and following == "(" and {"CASE", "COALESCE"} & set(open_):
            return True
    return False
