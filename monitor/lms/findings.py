"""Collects what is odd about a notebook, at most `MAX_FINDINGS`, and counts the rest."""

from monitor.database.irregularity import Irregularity

MAX_FINDINGS = 20
_MAX_QUOTED = 40  # characters of a student's text in a finding


class Findings:
    """Findings about a notebook and its cells; each is kept once for each cell."""

    def __init__(self) -> None:
        self._of_notebook: list[Irregularity] = []
        self._of_cells: list[Irregularity] = []
        self._of_cell: set[str] = set()  # of the current one
        self._cell = 0
        self._left_out = 0

    def add(self, finding: str) -> None:
        """Adds a finding about the notebook: there are few."""
        self._of_notebook.append(Irregularity(None, finding))

    def begin_cell(self, index: int) -> None:
        """Has `add_to_cell` add to this cell."""
        self._cell = index
        self._of_cell.clear()

    def add_to_cell(self, finding: str) -> None:
        if finding in self._of_cell:
            return
        if len(self._of_cells) >= MAX_FINDINGS:
            self._left_out += 1
            return
        self._of_cell.add(finding)
        self._of_cells.append(Irregularity(self._cell, finding))

    def irregularities(self) -> list[Irregularity]:
        """Those of the notebook first; the last item says how many are left out, if any are."""
        findings = self._of_notebook + self._of_cells
        left_out = self._left_out + max(len(findings) - MAX_FINDINGS, 0)
        if left_out:
            findings = [*findings[:MAX_FINDINGS], Irregularity(None, f"And {left_out:,} more")]
        return findings


def quoted(text: str) -> str:
    """The student's text in quotes, shortened."""
    return f'"{text}"' if len(text) <= _MAX_QUOTED else f'"{text[:_MAX_QUOTED]}…"'
