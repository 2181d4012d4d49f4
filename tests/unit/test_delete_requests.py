"""What InfluxDB is asked to delete a point with."""

from monitor.timeseries.delete_requests import body, statement
from monitor.timeseries.line_protocol import PointKey

HANAKO = PointKey("hanako", "help", 1_700_000_000_012_000_345)
ODD = PointKey("O'Hara\\x\"\n\\", "it's", 5)


def test_a_1x_server_gets_a_statement_with_the_exact_time() -> None:
    assert statement(HANAKO) == (
        "DELETE FROM student_progress"
        " WHERE \"userId\" = 'hanako' AND \"event\" = 'help' AND time = 1700000000012000345"
    )
    assert statement(ODD) == (
        "DELETE FROM student_progress"
        r""" WHERE "userId" = 'O\'Hara\\x"\\n' AND "event" = 'it\'s' AND time = 5"""
    )


def test_a_2x_server_gets_a_span_of_one_nanosecond() -> None:
    assert body(HANAKO) == {
        "start": "2023-11-14T22:13:20.012000345Z",
        "stop": "2023-11-14T22:13:20.012000345Z",
        "predicate": '_measurement="student_progress" AND userId="hanako" AND event="help"',
    }
    assert body(ODD)["predicate"] == (
        r"""_measurement="student_progress" AND userId="O'Hara\\x\"\\n" AND event="it's" """.strip()
    )


def test_a_tag_that_is_not_stored_is_not_asked_for() -> None:
    assert "userId" not in statement(PointKey("\\", "help", 5))
