"""The part of psql's language that migrations use: statements, `\\gset`, `\\if` and `\\endif`."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import asyncpg

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ | ^\\set[ ]ON_ERROR_STOP[ ]on$ )
    | (?P<end> ; )
    | ^\\(?P<command> endif | if (?= [ ] ) ) (?: [ ]+ :(?P<variable> \w+ ) )? [ ]*$
    | (?P<gset> \\gset ) [ ]*$
    | (?P<backslash> \\ )
    | \$(?P<tag> (?: [^\W\d]\w* )? )\$ .*? \$(?P=tag)\$     # quoted: any `;` in it is text
    | [eE]'(?: \\. | '' | [^'\\] )*'
    | '(?: '' | [^'] )*'
    | "(?: "" | [^"] )*"
    | [^\W\d][\w$]*                                         # a name: no `$` in it starts a quote
    | .
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


class Step(NamedTuple):
    """A line of a script to act on.

    `command` is `run` or `gset` (`text` is a statement), `if` (`text` is a variable) or `endif`.
    """

    command: str
    text: str
    line: int  # of its start, from 1


class StatementFailed(Exception):
    """The database refused a statement; its error is the cause."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.step = step


def steps(script: str) -> Iterator[Step]:
    """Splits a script as psql does, with a space in place of each comment.

    psql also splits by parentheses, nested comments and BEGIN ATOMIC, and replaces variables:
    migrations have none of them. Raises ValueError for other commands of psql, and for nested ones.
    """
    statement: list[str] = []
    line, is_open = 1, False
    for token in _TOKEN.finditer(script):
        if not "".join(statement).strip():
            statement.clear()
            blank = len(token[0]) - len(token[0].lstrip())
            line = script.count("\n", 0, token.start() + blank) + 1
        _refuse_other_commands(token, is_open, line)
        if token["command"]:
            is_open = not is_open
            yield Step(token["command"], token["variable"] or "", line)
        elif token["end"] or token["gset"]:
            yield Step("gset" if token["gset"] else "run", "".join(statement).strip(), line)
            statement.clear()
        else:
            statement.append(" " if token["comment"] else token[0])
    if rest := "".join(statement).strip():
        yield Step("run", rest, line)


def _refuse_other_commands(token: re.Match[str], is_open: bool, line: int) -> None:
    """`is_open` is whether an `\\if` is."""
    command = token["command"]
    if token["backslash"] or (command and (command == "if") == is_open):
        raise ValueError(f"Line {line}: migrations only use \\gset, \\if and \\endif, not nested")


async def run(connection: asyncpg.Connection, script: str, timeout: float) -> None:
    """Executes a script one statement at a time; `timeout` (s) bounds each of them.

    Raises StatementFailed, with the transaction of the script rolled back.
    """
    variables: dict[str, object] = {}
    skip = False
    for step in list(steps(script)):  # all of it, before anything is executed
        if step.command in ("if", "endif"):
            skip = step.command == "if" and not variables[step.text]
        elif not skip:
            try:
                variables |= await _execute(connection, step, timeout)
            except BaseException as error:
                await _roll_back(connection)
                if isinstance(error, Exception):
                    raise StatementFailed(step) from error
                raise


async def _execute(connection: asyncpg.Connection, step: Step, timeout: float) -> dict[str, object]:
    if step.command == "gset":
        return dict(await connection.fetchrow(step.text, timeout=timeout))
    await connection.execute(step.text, timeout=timeout)
    return {}


async def _roll_back(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()  # which rolls back as well
