"""How a sender's clock is judged by what arrives when. Times are in seconds."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from monitor.pipeline.sender_clock import Moment, SenderClock

START = datetime(2026, 4, 1, 9, tzinfo=UTC)
HOUR = 3600.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def offsets(events: Iterable[tuple[float, float]]) -> list[float]:
    """The offset after each event, a pair of claimed time and receipt."""
    clock, previous, found = SenderClock(), None, []
    for claimed, received in events:
        moment = Moment(at(claimed), at(received))
        clock, previous = clock.after(moment, previous, None), moment
        found.append(clock.offset.total_seconds() if clock.offset is not None else 0.0)
    return found


def test_a_clock_that_is_right_needs_nothing() -> None:
    assert offsets([(0, 0.2), (5, 5.05), (9, 9.9), (12, 12.0)]) == [0, 0, 0, 0]


def test_a_clock_seconds_behind_is_put_right_by_the_first_event() -> None:
    assert offsets([(-40, 0), (-30, 10)]) == [40, 40]


@pytest.mark.parametrize("hours", [-9, -1, -1 / 30, 1 / 30, 1, 9])
def test_a_clock_hours_off_is_put_right_by_the_second_event_at_the_latest(hours: float) -> None:
    wrong = hours * HOUR
    events = [(second + wrong, second + 0.01) for second in (0, 1.2, 5, 9)]
    assert offsets(events)[1:] == pytest.approx([-wrong + 0.01] * 3)


def test_a_clock_ahead_is_put_right_at_once() -> None:
    assert offsets([(8 * HOUR, 0)]) == [-8 * HOUR]


@pytest.mark.parametrize("hours", [-8, 8])
def test_a_clock_that_is_put_right_counts_at_once(hours: float) -> None:
    wrong = hours * HOUR
    events = [(wrong, 0), (wrong + 10, 10), (20.0, 20.1), (21.0, 21.1)]
    assert offsets(events)[2:] == [0, 0]


def test_a_clock_that_jumps_from_wrong_to_wrong_is_put_right_by_the_second_event() -> None:
    events = [(-9 * HOUR, 0), (-9 * HOUR + 5, 5), (3 * HOUR + 9, 9)]
    events += [(-5 * HOUR + 20, 20), (-5 * HOUR + 22, 22)]
    assert offsets(events) == [0, 9 * HOUR, -3 * HOUR, -3 * HOUR, 5 * HOUR]


def test_an_offline_queue_posted_one_by_one_changes_nothing() -> None:
    live = [(0.0, 0.1), (2.0, 2.1)]
    queue = [(60.0 + 40 * number, HOUR + 0.05 * number) for number in range(88)]
    assert set(offsets(live + queue)) == {0}


def test_an_offline_queue_of_a_new_sender_changes_nothing() -> None:
    assert set(offsets([(40.0 * n, HOUR + 0.3 * n) for n in range(80)])) == {0}


def test_a_slow_way_changes_nothing_once_the_clock_is_known() -> None:
    assert offsets([(0, 0.1), (10, 15), (20, 34.9), (21, 35.0), (22, 41)]) == [0] * 5


def test_events_in_a_burst_do_not_show_how_a_clock_runs() -> None:
    burst = [(-9 * HOUR + part, part) for part in (0.0, 0.3, 0.6, 0.9)]
    assert set(offsets(burst)) == {0}
    assert offsets([*burst, (-9 * HOUR + 1.5, 1.5)])[-1] == 9 * HOUR


def test_the_time_of_sending_shows_the_offset_at_once() -> None:
    sent = timedelta(hours=9)
    clock = SenderClock().after(Moment(at(-10 * HOUR), at(0)), None, sent)
    assert clock.offset == sent
    jitter = clock.after(Moment(at(-9 * HOUR), at(3)), None, sent + timedelta(seconds=3))
    assert jitter.offset == sent


def test_a_clock_explains_events_since_it_became_doubtful() -> None:
    first, second = Moment(at(-9 * HOUR), at(0)), Moment(at(2 - 9 * HOUR), at(2))
    doubtful = SenderClock().after(first, None, None)
    known = doubtful.after(second, first, None)
    assert doubtful.explains_since(SenderClock()) is None
    assert known.explains_since(doubtful) == first
    assert known.after(Moment(at(3), at(3.1)), second, None).explains_since(known) is None
