"""Logs on standard error, in the form of ECS (Elastic Common Schema): one JSON object a line.

Where standard error is a terminal, lines are for who reads it.
"""

import logging.config
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

from ecs_logging import StdlibFormatter

from monitor.errors import OverLimit, TooLarge, Unauthenticated, Unavailable, Unsupported

ECS_VERSION = "8.0.0"  # has all fields in use; ecs-logging says 1.6.0, which has no request ids
REQUESTS = "monitor.requests"  # the logger of the lines about requests

request_id: ContextVar[bytes] = ContextVar("request_id")  # of the request that is served

_MAX_LINES = 50  # of the logger REQUESTS in a second
# Where errors of PostgreSQL and its driver quote what was to be stored.
_QUOTED = re.compile(
    r"\nDETAIL: .*|(?<=invalid input syntax for type )[^\"]*\".*|(?<=for query argument \$)\d+: .*",
    re.DOTALL,
)
_LEFT_OUT = ["process", "log.original", "log.origin"]
# Whose messages name no user; of their subclasses only Unavailable's do neither.
_PLAIN = frozenset({OverLimit, TooLarge, Unauthenticated, Unsupported})

logger = logging.getLogger(__name__)


class EcsFormatter(StdlibFormatter):
    """Adds the request's id, and the fields that `trace_fields` returns, to each line.

    What PostgreSQL quotes of rows is left out: it has students' names and code.
    """

    def __init__(
        self, fields: dict[str, str], trace_fields: Callable[[], dict[str, str]] | None
    ) -> None:
        super().__init__(exclude_fields=_LEFT_OUT, extra=fields, ensure_ascii=False)
        self._trace_fields = trace_fields

    def format(self, record: logging.LogRecord) -> str:
        if current := request_id.get(b""):
            record.__dict__["http.request.id"] = current.decode()
        if self._trace_fields:
            record.__dict__.update(self._trace_fields())
        return super().format(record)

    def format_to_ecs(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = super().format_to_ecs(record) | {"ecs.version": ECS_VERSION}
        for part, name in ((fields, "message"), (fields.get("error", {}), "message")):
            if text := part.get(name):
                part[name] = _QUOTED.sub("…", text)
        return fields


class TerminalFormatter(logging.Formatter):
    """A line: the time of day, level and message; of requests also why and how long.

    Errors come with where they were raised. As in ECS, what PostgreSQL quotes of rows is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname:<7} {_printable(_QUOTED.sub('…', record.getMessage()))}"
        if notes := _notes(record.__dict__):
            line += f" ({', '.join(notes)})"
        if record.exc_info and record.exc_info[1]:
            return f"{line}\n{_raised(record.exc_info[1])}"
        return line


def _notes(fields: Mapping[str, Any]) -> list[str]:
    """What a line about a request says besides: the error, the time taken, the id."""
    notes = [fields["error.message"]] if "error.message" in fields else []
    if "event.duration" in fields:
        notes.append(f"{fields['event.duration'] / 1e6:.1f} ms")
    if request := fields.get("http.request.id") or request_id.get(b"").decode():
        notes.append(f"request {request}")
    return [_printable(note) for note in notes]


def _raised(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    message = f"{type(error).__name__}: {_QUOTED.sub('…', str(error))}"
    text = "\n".join(_printable(line) for line in f"{frames}{message}".splitlines())
    return f"{_raised(error.__cause__)}\nwhich caused\n{text}" if error.__cause__ else text


def _printable(text: str) -> str:
    """The text on one line, without what would steer a terminal: a client may have chosen it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class Bounded(logging.Filter):
    """Lets `most` lines a second through: whoever floods the server can't fill a disk with them."""

    def __init__(self, most: int = _MAX_LINES) -> None:
        super().__init__()
        self._most = most
        self._since = 0.0
        self._lines = self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._since >= 1.0:
            left_out, self._left_out = self._left_out, 0
            self._since, self._lines = now, 0
            if left_out:
                logger.warning("%d lines about requests were left out", left_out)
        self._lines += 1
        if self._lines > self._most:
            self._left_out += 1
            return False
        return True


def keep_error(scope: MutableMapping[str, Any], error: Exception) -> None:
    """Keeps what answers a request for its line: the class, and the message if it names nobody.

    Not the error itself: its frames hold the request.
    """
    is_plain = type(error) in _PLAIN or isinstance(error, Unavailable)
    scope["error"] = type(error), str(error) if is_plain else ""


def node(place: str) -> str:
    """The name of a replica: its host, and its place there."""
    return f"{socket.gethostname()}:{place}"


def configure(
    level: str,
    place: str,
    version: str,
    *,
    service: str = "cell-monitor",
    trace_fields: Callable[[], dict[str, str]] | None = None,
) -> None:
    """Logs messages of `level` (such as `INFO`) and above; of other packages no DEBUG.

    Theirs would have what is sent and received, credentials among it. The replica is named by its
    host and its `place` there: a port, or the path of a socket. On a terminal lines are readable.
    """
    fields = {
        "service.name": service,
        "service.version": version,
        "service.node.name": node(place),
    }
    form = "terminal" if sys.stderr.isatty() else "ecs"
    bounds = [] if level == "DEBUG" else ["bounded"]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "ecs": {"()": EcsFormatter, "fields": fields, "trace_fields": trace_fields},
                "terminal": {"()": TerminalFormatter},
            },
            "filters": {"bounded": {"()": Bounded}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form}},
            "root": {"level": "INFO" if level == "DEBUG" else level, "handlers": ["stderr"]},
            "loggers": {
                "monitor": {"level": level},
                REQUESTS: {"filters": bounds},
                # We log start and stop ourselves, and do not want a line per WebSocket.
                "uvicorn": {"level": "ERROR" if level == "ERROR" else "WARNING"},
            },
        }
    )
