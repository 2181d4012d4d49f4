"""Sixty counters in the digits of one number."""

from monitor.insight.packed_counts import percentile, unpack


def test_percentiles_of_nothing_are_none() -> None:
    assert percentile(unpack("0"), 0.5) is None


def test_counts_are_read_from_the_digits() -> None:
    assert unpack("0") == [0]
    assert unpack("500000012") == [12, 5]
    assert unpack(str(7 + 99_999_999 * 10**8 + 3 * 10**16)) == [7, 99_999_999, 3]
