"""The part of psql's language that migrations use: statements, `\\gset`, `\\if` and `\\endif`."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import asyncpg

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<end> ; )
    | ^\\(?P<command> \w+ ) (?: [ ]+ :(?P<variable> \w+ ) )? [ ]*$
    | (?P<gset> \\gset )
    | \$(?P<tag> (?:[A-Za-z_]\w*)? )\$ .*? \$(?P=tag)\$     # quoted: any `;` in it is text
    | (?<!\w)[eE]'(?: \\. | '' | [^'\\] )*'
    | '(?: '' | [^'] )*'
    | "(?: "" | [^"] )*"
    | [^-/;\\$'"eE]+
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
    """Splits a script as psql does, without its comments.

    psql also splits by parentheses, nested comments and BEGIN ATOMIC: migrations have none of them.
    """
    statement: list[str] = []
    line = 1
    for token in _TOKEN.finditer(script):
        if not "".join(statement).strip():
            statement.clear()
            blank = len(token[0]) - len(token[0].lstrip())
            line = script.count("\n", 0, token.start() + blank) + 1
        if token["command"]:
            yield Step(token["command"], token["variable"] or "", line)
        elif token["end"] or token["gset"]:
            yield Step("gset" if token["gset"] else "run", "".join(statement).strip(), line)
            statement.clear()
        elif not token["comment"]:
            statement.append(token[0])


async def run(connection: asyncpg.Connection, script: str, timeout: float) -> None:
    """Executes a script one statement at a time; `timeout` (s) bounds each of them.

    Raises StatementFailed, with the transaction of the script rolled back.
    """
    variables: dict[str, object] = {}
    skip = False
    for step in steps(script):
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
