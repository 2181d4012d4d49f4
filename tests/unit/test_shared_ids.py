"""Ids that two people use: two sessions at a time, from two addresses."""

from datetime import timedelta

import pytest

from monitor.auth import shared_ids as module
from monitor.auth.shared_ids import SharedIds
from tests.support.factories import make_event, now

START = now()
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def shared_by(*senders: tuple[str | None, str], apart: timedelta = timedelta(minutes=1)) -> bool:
    """Whether the id is shared after events of these sessions from these addresses, in turn."""
    ids = SharedIds()
    for number, (session, address) in enumerate(senders):
        at = START + number * apart
        ids.compare(7, address, [make_event(session=session, received_at=at)])
    shared = ids.take()
    assert set(shared) <= {(7, "hanako")}
    assert ids.take() == {}
    return bool(shared)


def test_who_comes_back_after_another_shares_an_id() -> None:
    assert shared_by(("one", A), ("two", B), ("one", A))
    assert shared_by(("one", A), ("one", A), ("two", B), ("two", B), ("one", A), ("one", A))
    assert shared_by(("one", A), ("also one", A), ("two", B), ("one", A))


@pytest.mark.parametrize(
    "senders",
    [
        [("one", A), ("two", B), ("two", B)],  # went home and opened a new session
        [("one", A), ("one", B), ("one", A)],  # a laptop between two networks
        [("one", A), ("two", A), ("one", A)],  # two tabs
        [("one", A), ("one", B), ("two", B), ("one", B)],
        [("one", A), ("two", B), ("three", C)],
        [(None, A), (None, B), (None, A)],
        [(None, A), ("two", B), (None, A)],
    ],
)
def test_one_person_does_not_share_an_id(senders: list[tuple[str | None, str]]) -> None:
    assert not shared_by(*senders)


def test_who_comes_back_after_a_long_time_does_not() -> None:
    senders = ("one", A), ("two", B), ("one", A)
    assert shared_by(*senders, apart=timedelta(minutes=5))
    assert not shared_by(*senders, apart=timedelta(minutes=6))


def test_students_and_classes_are_kept_apart() -> None:
    ids = SharedIds()
    for class_id, student, session, address in (
        (7, "hanako", "one", A),
        (8, "hanako", "two", B),
        (7, "taro", "two", B),
        (7, "hanako", "one", A),
    ):
        ids.compare(class_id, address, [make_event(student=student, session=session)])
    assert ids.take() == {}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_IDS", 10)
    ids = SharedIds()
    for number in range(95):
        for session, address in (("one", A), ("two", B), ("one", A)):
            ids.compare(7, address, [make_event(student=f"s{number}", session=session)])
    assert len(ids._senders) <= 10
    ids.give_back({(7, f"t{number}"): START for number in range(95)})
    assert len(ids.take()) == 10


def test_what_could_not_be_written_is_kept() -> None:
    ids = SharedIds()
    earlier, later = START, START + timedelta(minutes=1)
    ids.give_back({(7, "hanako"): earlier, (7, "taro"): earlier})
    for session, address in (("one", A), ("two", B), ("one", A)):
        ids.compare(7, address, [make_event(session=session, received_at=later)])
    ids.give_back({(7, "hanako"): earlier})
    assert ids.take() == {(7, "hanako"): later, (7, "taro"): earlier}
