"""The six rules that decide the class of an event."""

from typing import Any

import pytest

from monitor.events.event import NO_CLASS, Source
from monitor.pipeline.class_choice import Member, Rosters, class_of
from tests.support.factories import make_event

ANN, A, B, ENDED = 1, 10, 20, 30
STUDENT, WAITING, TEACHER = (Member(role, True) for role in ("student", "waiting", "teacher"))
PUT_AWAY = Member("student", False)
KEY_OF_A = Source("key 1", A)
TOKEN_OF_A = Source("token 1", A, "ann", True)
NOBODY = Source()


def rosters(**lines: Member) -> Rosters:
    ids = {"a": A, "b": B, "ended": ENDED}
    return Rosters(
        {ANN: {ids[name]: member for name, member in lines.items()}},
        {"A": A, "B": B, "Ended": ENDED},
    )


def chosen(source: Source, known: Rosters, **fields: Any) -> int:
    return class_of(make_event(source=source, **fields), ANN, known)


@pytest.mark.parametrize("role", [STUDENT, WAITING, TEACHER])
def test_a_key_decides_the_class_of_those_on_its_roster(role: Member) -> None:
    assert chosen(KEY_OF_A, rosters(a=role, b=STUDENT)) == A


def test_a_key_decides_none_for_who_is_not_on_its_roster() -> None:
    assert chosen(KEY_OF_A, rosters(b=STUDENT)) == NO_CLASS


def test_a_key_decides_none_for_events_that_name_another_class() -> None:
    known = rosters(a=STUDENT, b=STUDENT)
    assert chosen(KEY_OF_A, known, class_code="B") == NO_CLASS
    assert chosen(KEY_OF_A, known, class_code="A") == A
    assert chosen(KEY_OF_A, known, class_code="unknown") == A


def test_a_named_class_counts_if_the_student_is_on_its_roster() -> None:
    both = rosters(a=STUDENT, b=STUDENT)
    assert chosen(NOBODY, both, class_code="B") == B
    assert chosen(Source(class_code="B"), both) == B
    assert chosen(Source(class_code="B"), both, class_code="A") == A
    assert chosen(NOBODY, rosters(a=STUDENT), class_code="B") == A  # by the fifth rule
    assert chosen(NOBODY, rosters(a=STUDENT, b=WAITING), class_code="B") == A


def test_the_only_class_that_handed_out_the_notebook_counts() -> None:
    known = rosters(a=STUDENT, b=STUDENT)
    assert chosen(TOKEN_OF_A, known) == A
    known.handed_out = {(ANN, "units/lesson.ipynb"): [B]}
    assert chosen(TOKEN_OF_A, known) == chosen(NOBODY, known) == B
    known.handed_out = {(ANN, "units/lesson.ipynb"): [A, B]}
    assert chosen(TOKEN_OF_A, known) == A
    assert chosen(NOBODY, known) == NO_CLASS


def test_a_token_counts_for_its_class_while_the_student_is_in_it() -> None:
    assert chosen(TOKEN_OF_A, rosters(a=STUDENT, b=STUDENT, ended=PUT_AWAY)) == A
    assert chosen(TOKEN_OF_A, rosters(b=STUDENT)) == B


def test_the_only_active_class_counts() -> None:
    assert chosen(NOBODY, rosters(a=STUDENT, ended=PUT_AWAY)) == A
    assert chosen(NOBODY, rosters(a=STUDENT, b=TEACHER)) == A
    assert chosen(NOBODY, rosters(ended=PUT_AWAY)) == NO_CLASS
    assert chosen(NOBODY, rosters(a=STUDENT, b=STUDENT)) == NO_CLASS
    assert chosen(NOBODY, rosters(a=WAITING)) == NO_CLASS
    assert chosen(NOBODY, Rosters({})) == NO_CLASS
