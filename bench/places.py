"""Where the events go and whom they are of; bench/events.lua says the same of the students."""

EVENTS = "/api/v1/events"
STUDENTS = 200
SOCKETS = 20


def student(number: int) -> str:
    return f"s{number}@example.com"


def live_url(port: int, students: range) -> str:
    """The WebSocket that tells of these students."""
    channels = ",".join(f"progress:{student(number)}" for number in students)
    return f"ws://127.0.0.1:{port}/ws?channels={channels}"
