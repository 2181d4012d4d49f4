"""The errors of this package, in one tree."""

from dataclasses import dataclass


class MonitorError(Exception):
    """The base of all errors that this package raises itself."""

    def public_message(self) -> str:
        """The message that is safe to show clients; the cause may contain hosts, users or SQL."""
        return str(self)


class Unavailable(MonitorError):
    """Nothing is wrong with the request, but it can't be served now."""

    def public_message(self) -> str:
        """Names no cause: that of PostgreSQL contains its host, for instance."""
        return "The server can't do this now: try again" if self.__cause__ else str(self)


class Busy(Unavailable):
    """The server has too much to do, whether or not PostgreSQL answers."""


class QueueFull(Unavailable):
    """More events wait to be stored than the settings allow."""


class SpoolFull(Unavailable):
    """PostgreSQL is unavailable, and the spool is full or can't be written to."""


class SpoolError(MonitorError):
    """The spool of DATA_DIR can't be opened."""


class ClientGone(MonitorError):
    """The client left while it was sending: there is nobody to answer."""


class RowRefused(MonitorError):
    """PostgreSQL will never accept these rows as they are: at least one of them is invalid."""


class TooLarge(MonitorError):
    """A request is larger than the settings allow."""


class Unsupported(MonitorError):
    """A request is of a content type or encoding that is not understood."""


class Unauthenticated(MonitorError):
    """The credential is missing or not valid."""


class Forbidden(MonitorError):
    """The caller may not do this."""


class OverLimit(MonitorError):
    """The caller has exceeded a limit, and may try again in so many `seconds`.

    The answer is delayed by `delay` (seconds): a client that waits for it floods no more.
    """

    def __init__(self, message: str, seconds: float, delay: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.delay = delay


class NotFound(MonitorError):
    """There is nothing with this id."""


class Conflict(MonitorError):
    """The request conflicts with the present state."""


class CommandError(MonitorError):
    """A command of the command line can't be carried out."""


class HandlersError(MonitorError):
    """A module named in HANDLERS can't be used."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One validation error, as FastAPI's clients expect it."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class InvalidBody(MonitorError):
    """The body, or a parameter, of a request is not valid."""

    def __init__(self, *details: Detail) -> None:
        super().__init__("; ".join(detail.msg for detail in details))
        self.details = details


class InvalidItem(MonitorError):
    """An item of a body is JSON, but not an event."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason
