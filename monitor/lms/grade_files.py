"""Grades as files that Moodle, Canvas and nbgrader take.

Each has only students with a grade: an empty cell would remove the grade that is there.

- Moodle's import matches a column, which the teacher chooses, with the ID number, the e-mail
  address or the user name, and each column of grades with an item of its gradebook.
- Canvas's import wants the headings Student, ID, …, Section in this order, then assignments, which
  it finds by title, or makes. Without an ID it finds a student by the SIS user id, else by the SIS
  login id, else by the name. A number in brackets at the end of a heading would be the id of an
  assignment of Canvas, so none is added.
- nbgrader's are the columns of its own export, and a row for each student and assignment.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from monitor.lms.grades import StudentGrade

Cells = Sequence[str]

# Written as they are, so that they are found again: no formula is made of these characters alone,
# but one of a name, which does nothing.
_PLAIN_ID = re.compile(r"[\w.@+\-]+")
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff66-\uff9f]")
_NBGRADER = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip


def rows_for(form: str, grades: Sequence[StudentGrade]) -> list[Cells]:
    """The rows of a file in this format, headings first. Cells from people are no formulas yet."""
    return _FORMATS[form]([each for each in grades if each.grade is not None], _titles(grades))


def is_plain_id(text: str) -> bool:
    """Whether an id can be written as it is into a spreadsheet."""
    return _PLAIN_ID.fullmatch(text) is not None


def _titles(grades: Iterable[StudentGrade]) -> dict[int, str]:
    """Headings by assignment, in one line, each once."""
    titles: dict[int, str] = {}
    for each in grades:
        if each.assignment_id not in titles:
            title = " ".join(each.title.split()) or "-"
            taken = title in titles.values()
            titles[each.assignment_id] = f"{title} #{each.assignment_id}" if taken else title
    return titles


def _moodle(grades: Sequence[StudentGrade], titles: Mapping[int, str]) -> list[Cells]:
    rows: list[Cells] = [("ID number", "Full name", "Email address", *titles.values())]
    for student, by_id in _by_student(grades):
        marks = [by_id.get(assignment_id, "") for assignment_id in titles]
        rows.append((student.user_id, student.name or "", student.email or "", *marks))
    return rows


def _canvas(grades: Sequence[StudentGrade], titles: Mapping[int, str]) -> list[Cells]:
    points = {each.assignment_id: _number(each.points) for each in grades}
    possible = [points.get(assignment_id, "") for assignment_id in titles]
    rows: list[Cells] = [
        ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles.values()),
        ("    Points Possible", "", "", "", "", *possible),
    ]
    for student, by_id in _by_student(grades):
        name, user_id, section = student.name or student.user_id, student.user_id, student.team
        marks = [by_id.get(assignment_id, "") for assignment_id in titles]
        rows.append((name, "", user_id, user_id, section or "", *marks))
    return rows


def _nbgrader(grades: Sequence[StudentGrade], titles: Mapping[int, str]) -> list[Cells]:
    rows: list[Cells] = [_NBGRADER]
    for each in grades:
        last_name, first_name = _parts(each.name or "")
        rows.append(
            (
                titles[each.assignment_id],
                _time(each.due_date),
                _time(each.submitted_at),
                each.user_id,
                last_name,
                first_name,
                each.email or "",
                str(each.grade),
                "0.0",
                str(each.grade),
                "" if each.points is None else str(each.points),
            )
        )
    return rows


def _by_student(
    grades: Iterable[StudentGrade],
) -> list[tuple[StudentGrade, dict[int, str]]]:
    """Each student, and their grades by assignment."""
    students: dict[int, tuple[StudentGrade, dict[int, str]]] = {}
    for each in grades:
        _, by_id = students.setdefault(each.student_id, (each, {}))
        by_id[each.assignment_id] = _number(each.grade)
    return list(students.values())


def _parts(name: str) -> tuple[str, str]:
    """Family and given name, of a name of two words; else all of it as the family name."""
    words = name.split()
    if len(words) != 2:
        return name, ""
    return (words[0], words[1]) if _EAST_ASIAN.search(name) else (words[1], words[0])


def _number(value: float | None) -> str:
    """Without an exponent, or digits that say nothing."""
    if value is None:
        return ""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _time(value: datetime | None) -> str:
    """In UTC and without a zone, as nbgrader writes times."""
    return "" if value is None else str(value.astimezone(UTC).replace(tzinfo=None))


_FORMATS: Mapping[str, Callable[[Sequence[StudentGrade], Mapping[int, str]], list[Cells]]] = {
    "moodle": _moodle,
    "canvas": _canvas,
    "nbgrader": _nbgrader,
}
