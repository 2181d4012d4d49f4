"""The form of lines, what they leave out, and ids of requests."""

import json
import logging
from typing import Any

import asyncpg
import pytest

from monitor.auth.jupyterhub import OthersToken
from monitor.errors import Forbidden, OverLimit, QueueFull, Unauthenticated
from monitor.http.request_log import id_of
from monitor.logs import Bounded, EcsFormatter, TerminalFormatter, keep_error, request_id
from tests.support.ecs import lines_of

FORMATTER = EcsFormatter({"service.node.name": "here:1"}, None)


def line(message: str, error: Exception | None = None, **extra: Any) -> dict[str, Any]:
    """The line of a record, checked and flat."""
    raised = (type(error), error, None) if error else None
    record = logging.LogRecord("monitor.test", logging.ERROR, "", 1, message, (), raised)
    record.__dict__.update(extra)
    (formatted,) = lines_of(FORMATTER.format(record))
    return formatted


def refused_row() -> asyncpg.PostgresError:
    error = asyncpg.UniqueViolationError("duplicate key value violates a constraint")
    error.detail = "Key (user_id)=(hanako) already exists."
    return error


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (refused_row(), "duplicate key value violates a constraint…"),
        (
            asyncpg.InvalidTextRepresentationError(
                'invalid input syntax for type integer: "hanako"'
            ),
            "invalid input syntax for type …",
        ),
        (
            asyncpg.DataError("invalid input for query argument $3: 'hanako' (expected int)"),
            "invalid input for query argument $…",
        ),
        (ValueError("a plain message"), "a plain message"),
    ],
)
def test_what_postgresql_quotes_is_left_out(error: Exception, kept: str) -> None:
    raised = line("It failed", error)
    assert raised["error.message"] == kept
    assert raised["error.type"] == type(error).__name__
    assert line(f"It failed: {error}")["message"] == f"It failed: {kept}"


def test_a_line_names_the_request_that_is_served() -> None:
    token = request_id.set(b"abc-1")
    try:
        assert line("During a request")["http.request.id"] == "abc-1"
    finally:
        request_id.reset(token)
    assert "http.request.id" not in line("Otherwise")


def test_other_alphabets_stay_readable() -> None:
    record = logging.LogRecord("monitor.test", logging.INFO, "", 1, "始まりました", (), None)
    assert "始まりました" in FORMATTER.format(record)
    json.loads(FORMATTER.format(record))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Unauthenticated("The token has expired"), "The token has expired"),
        (OverLimit("At most 5 events a minute", 1.0), "At most 5 events a minute"),
        (QueueFull("9 events are waiting to be stored"), "9 events are waiting to be stored"),
        (Forbidden("No access to the channel 'progress:hanako'"), ""),
        (OthersToken("It needs access:servers!user=hanako"), ""),
        (ValueError("hanako"), ""),
    ],
)
def test_messages_that_may_name_people_are_not_kept(error: Exception, message: str) -> None:
    scope: dict[str, Any] = {}
    keep_error(scope, error)
    assert scope["error"] == (type(error), message)


def test_lines_are_bounded_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.LogRecord("monitor.requests", logging.INFO, "", 1, "a request", (), None)
    bounded = Bounded(most=3)
    assert [bounded.filter(record) for _ in range(5)] == [True, True, True, False, False]
    bounded._since -= 1.0  # a second later
    assert bounded.filter(record)
    assert [each.getMessage() for each in caplog.records] == [
        "2 lines about requests were left out"
    ]


@pytest.mark.parametrize("sent", [b"a", b"x" * 128, b"Root=1-67891233-abc/def:9_.+"])
def test_a_well_formed_id_is_kept(sent: bytes) -> None:
    assert id_of([(b"host", b"x"), (b"x-request-id", sent)]) == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 129, b"a b", b"a\n", b'"', b"\xe3\x81\x82", b"a@b"])
def test_any_other_is_replaced(sent: bytes) -> None:
    made = {id_of([(b"x-request-id", sent)]), id_of([])}
    assert sent not in made
    assert len(made) == 2


def terminal_line(message: str, error: Exception | None = None, **extra: Any) -> str:
    raised = (type(error), error, None) if error else None
    record = logging.LogRecord("monitor.test", logging.WARNING, "", 1, message, (), raised)
    record.__dict__.update(extra)
    return TerminalFormatter().format(record)[len("12:34:56 ") :]


def test_a_line_on_a_terminal_says_what_why_and_how_long() -> None:
    fields: dict[str, Any] = {"error.message": "The token has expired", "http.request.id": "a-1"}
    shown = terminal_line("GET /health: 401", **fields | {"event.duration": 1_340_000})
    assert shown == "WARNING GET /health: 401 (The token has expired, 1.3 ms, request a-1)"
    assert terminal_line("始まりました") == "WARNING 始まりました"


def test_an_error_on_a_terminal_has_its_place_and_quotes_no_row() -> None:
    shown = terminal_line("It failed", refused_row())
    assert shown.splitlines() == [
        "WARNING It failed",
        "UniqueViolationError: duplicate key value violates a constraint…",
    ]


def test_nothing_that_a_client_chose_steers_a_terminal() -> None:
    shown = terminal_line("Refused \x1b[2J\n12:00:00 ERROR forged\x9b", ValueError("\x1b]0;x\x07"))
    assert shown.splitlines() == [
        r"WARNING Refused \x1b[2J\n12:00:00 ERROR forged\x9b",
        r"ValueError: \x1b]0;x\x07",
    ]
