"""The model: what a student's events should have become, in a few lines of plain Python."""

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

EXECUTIONS = {"cell_executed", "cell_error"}


@dataclass(frozen=True)
class Row:
    """A stored event; `class_code` is "" without a class.

    It was sent with the class's key, or without a credential: `key` says which.
    """

    id: uuid.UUID
    type: str
    time: datetime | None  # None: that of its first receipt
    student: str
    class_code: str
    session: str
    notebook: str
    cell: str
    key: bool
    withdrawn: bool = False


@dataclass
class Model:
    """The rows by event id, the events whose fate is unknown, and those whose points are written.

    `detached` are rows of a month that is no part of the tables now.
    """

    rows: dict[uuid.UUID, Row] = field(default_factory=dict)
    unknown: dict[uuid.UUID, Row] = field(default_factory=dict)
    is_detached: bool = False
    detached: dict[uuid.UUID, Row] = field(default_factory=dict)

    def receive(self, events: Iterable[Row]) -> int:
        """Stores those that are new; how many that are."""
        new = {each.id: each for each in events if each.id not in self.rows}
        self.rows |= new
        return len(new)

    def resolve(self, stored: set[uuid.UUID]) -> None:
        """A request that was never answered was stored, or was not; it must be one of them."""
        self.receive(row for row in self.unknown.values() if row.id in stored)
        self.unknown = {}

    def withdraw(self) -> None:
        """Takes back what was sent with the key."""
        for row in self.rows.values():
            if row.key:
                self.rows[row.id] = replace(row, withdrawn=True)

    def restore(self) -> None:
        for row in self.rows.values():
            self.rows[row.id] = replace(row, withdrawn=False)

    def assign(self, student: str, from_class: str, to_class: str) -> None:
        """Moves what a student did in a class; what is withdrawn stays."""
        for row in self.rows.values():
            if (row.student, row.class_code, row.withdrawn) == (student, from_class, False):
                self.rows[row.id] = replace(row, class_code=to_class)

    def detach(self, before: datetime) -> None:
        """Takes away what happened before that time."""
        self.is_detached = True
        self.detached = {
            row.id: row for row in self.rows.values() if row.time and row.time < before
        }
        self.rows = {key: row for key, row in self.rows.items() if key not in self.detached}

    def attach(self) -> None:
        self.is_detached = False
        self.rows |= self.detached
        self.detached = {}

    @property
    def counted(self) -> list[Row]:
        """The rows that count, in the tables or not."""
        return [each for each in (self.rows | self.detached).values() if not each.withdrawn]

    def executions(self, *names: str) -> dict[tuple[str, ...], tuple[int, int]]:
        """Executions and errors of the rows that agree in these fields."""
        ran = Counter(_key(row, names) for row in self.counted if row.type in EXECUTIONS)
        failed = Counter(_key(row, names) for row in self.counted if row.type == "cell_error")
        return {key: (ran[key], failed[key]) for key in ran}

    def activity(self) -> dict[tuple[str, ...], tuple[int, int, int]]:
        """Executions, errors and calls for help by student, class and step (s) of the counters."""
        names = ("student", "class_code")
        ran = self.executions(*names)
        helps = Counter(_key(row, names) for row in self.counted if row.type == "help")
        return {
            (*key, step): (*ran.get(key, (0, 0)), helps[key])
            for key in ran.keys() | helps.keys()
            for step in ("60", "3600")
        }

    def ledger(self) -> tuple[int, int]:
        """The rows stored and withdrawn."""
        return len(self.counted), len(self.rows | self.detached) - len(self.counted)


def _key(row: Row, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in names)
