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


# Functions that Citus doesn't take in RETURNING, because their value may change.
_CHANGING = re.compile(rf"\b(?:{'|'.join(CLOCKS)}|format|to_char|extract)\s*\(", re.IGNORECASE)
_PARENTHESES = re.compile(r"\([^()]*\)")
_INSERT_SELECT = re.compile(r"\bINSERT\s+INTO\s+\w+[^;]*?\bSELECT\b[^;]*?\bFROM\b")
_END_OF_FROM = re.compile(r"\b(?:WHERE|ORDER|GROUP|HAVING|ON CONFLICT|RETURNING|UNION)\b|;")
_END_OF_RETURNING = re.compile(r";|\b(?:LOOP|INTO)\b")
_NAMED_QUERY = re.compile(r"\b(\w+)\s+AS\s+(?:MATERIALIZED\s+)?\(")
_TABLE = re.compile(r"(?:^|,|\bJOIN)\s*(?:LATERAL\s+)?(?!LATERAL\b)(\w+)\b(?!\s*§)")


FROM_TABLE = "an INSERT of what it selects from a table"


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
    if _returns_changing(plain):
        yield "a function in RETURNING whose value may change"
    if _inserts_from_tables(plain):
        yield FROM_TABLE
    if any(_clocks(each) for each in _SET.findall(plain)):
        yield "a clock in DO UPDATE SET"


def _within(text: str) -> str:
    """The text up to the parenthesis that closes around it."""
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0:
            text = text[:place]
            break
    return text


def _returns_changing(text: str) -> bool:
    return any(
        _CHANGING.search(_END_OF_RETURNING.split(_within(text[found.end() :]))[0])
        for found in re.finditer(r"\bRETURNING\b", text)
    )


def _inserts_from_tables(text: str) -> bool:
    """Whether an INSERT selects from a table, and not from a query of its own or from arrays."""
    named = set(_NAMED_QUERY.findall(text))
    for found in _INSERT_SELECT.finditer(text):
        source = _within(text[found.end() :])
        while _PARENTHESES.search(source):
            source = _PARENTHESES.sub("§", source)
        if set(_TABLE.findall(_END_OF_FROM.split(source)[0])) - named:
            return True
    return False


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
