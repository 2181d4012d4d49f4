"""The URL of the load, and its students; bench/events.lua uses the same students."""

EVENTS = "/api/v1/events"
STUDENTS = 200
SOCKETS = 20


def student(number: int) -> str:
    return f"s{number}@example.com"


def live_url(port: int, students: range) -> str:
    """The URL of a WebSocket subscribed to these students."""
    channels = ",".join(f"progress:{student(number)}" for number in students)
    return f"ws://127.0.0.1:{port}/ws?channels={channels}"
