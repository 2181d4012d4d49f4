"""The file of results: a line for each round, so that an interrupted run can be continued."""

import fcntl
import hashlib
from collections import defaultdict
from pathlib import Path

import msgspec

from tests.chaos.reckoning import Reckoning
from tests.support.paths import ROOT


class Line(msgspec.Struct):
    """A round of a fault, played with the code that has this digest."""

    code: str
    fault: str
    outage: float
    round: Reckoning


class Results:
    """The rounds in a file that were played with the present code; others are left alone.

    Several processes may add to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._code = code_digest()

    def rounds(self) -> dict[str, list[Reckoning]]:
        """The rounds so far, by fault."""
        found = defaultdict(list)
        for line in self._lines():
            if line.code == self._code:
                found[line.fault].append(line.round)
        return found

    def others(self) -> int:
        """How many rounds were played with other code."""
        return sum(line.code != self._code for line in self._lines())

    def add(self, fault: str, outage: float, reckoning: Reckoning) -> None:
        line = msgspec.json.encode(Line(self._code, fault, outage, reckoning)) + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # without a line that was interrupted
            file.write(line)

    def _lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        return [
            msgspec.json.decode(line, type=Line) for line in lines[:-1]
        ]  # the last is unfinished


def code_digest() -> str:
    """Of the code that is tested: a round says nothing about other code."""
    digest = hashlib.sha256()
    for directory, pattern in (("monitor", "*.py"), ("sql", "*.sql")):
        for path in sorted((ROOT / directory).rglob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
