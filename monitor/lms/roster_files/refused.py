"""How a roster's file is refused: by a line, and with what to do."""

from monitor.errors import Detail, InvalidBody
from monitor.lms.enrolment_rows import MAX_ERRORS


def refused(line: int, reason: str) -> InvalidBody:
    """The error for one line, counted from 1; `reason` says what is wrong and what to do."""
    return InvalidBody(detail(line, reason))


def detail(line: int, reason: str) -> Detail:
    return Detail(("body", line), f"Line {line}: {reason}", "value_error")


def refuse(details: list[Detail]) -> None:
    """Raises InvalidBody with the first of these errors, if there are any."""
    if details:
        raise InvalidBody(*details[:MAX_ERRORS])
