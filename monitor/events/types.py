"""The types of events: the table that each is stored in, and the status that it reports."""

from monitor.events.event import Event

EXECUTIONS = frozenset({"cell_execution_complete", "cell_executed", "cell_execution"})
FAILURES = frozenset({"cell_execution_error", "cell_error"})
START = "cell_execution_start"
# After these nothing is known of a run any more; where they name a notebook, of one in it.
RUN_ENDS = frozenset(
    {
        "session_start",
        "session_end",
        "kernel_restart",
        "kernel_restarted",
        "kernel_interrupt",
        "kernel_interrupted",
        "kernel_shutdown",
        "kernel_died",
    }
)
ACTIONS = {
    "notebook_open": "open",
    "notebook_opened": "open",
    "notebook_save": "save",
    "notebook_saved": "save",
    "notebook_close": "close",
    "notebook_closed": "close",
}


class Table:
    """A table of events. Its first three columns are its key: student, time, event id.

    `columns` are given as types of PostgreSQL and names, in turn.
    """

    def __init__(self, name: str, columns: str) -> None:
        words = columns.split()
        self.name = name
        self.columns, self.types = words[1::2], words[::2]
        self.key = self.columns[:3]


RENDERED = frozenset({"markdown", "raw"})  # types of cells that are shown, not executed

_HEAD = (
    "uuid event_id timestamptz received_at text event_type bigint session_id bigint alias_id"
    " bigint cell_id integer cell_index text cell_type bigint clock_offset"
)
_TAIL = "bigint class_id text credential boolean verified"
CELL_EXECUTIONS = Table(
    "cell_executions",
    f"bigint student_id timestamptz executed_at {_HEAD} integer execution_count text status"
    f" float8 duration_ms text code text output text error jsonb metadata {_TAIL}",
)
NOTEBOOK_ACCESSES = Table(
    "notebook_accesses",
    f"bigint student_id timestamptz accessed_at {_HEAD} text action jsonb metadata {_TAIL}",
)
EVENTS_TABLE = Table(
    "events", f"bigint student_id timestamptz event_time {_HEAD} jsonb metadata {_TAIL}"
)


_HOMES = dict.fromkeys(EXECUTIONS | FAILURES, CELL_EXECUTIONS) | dict.fromkeys(
    ACTIONS, NOTEBOOK_ACCESSES
)


def home_table(kind: str) -> Table:
    """The table of the events of that type."""
    return _HOMES.get(kind, EVENTS_TABLE)


def status(event: Event) -> str | None:
    """`running`, `success`, `error` or `rendered`; None for events other than a cell's run."""
    if event.cell_type in RENDERED:
        return "rendered" if event.type in EXECUTIONS or event.type in FAILURES else None
    if event.type in EXECUTIONS:
        return "error" if event.failed else "success"
    if event.type in FAILURES:
        return "error"
    return "running" if event.type == START else None
