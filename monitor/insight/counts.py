"""Packed counters, as `sql/0001_first_version.sql` defines them."""

_DIGITS = 8  # of each count
_GROWTH = 1.1  # from one bucket of durations to the next


def counts(number: str) -> list[int]:
    """The counts by their places, from the number's decimal digits."""
    return [int(number[max(0, end - _DIGITS) : end]) for end in range(len(number), 0, -_DIGITS)]


def percentile(buckets: list[int], share: float) -> float | None:
    """The duration (ms) that `share` of all don't exceed, within 5 %; None when there are none."""
    wanted = share * sum(buckets)
    seen = 0
    for bucket, count in enumerate(buckets):
        seen += count
        if count and seen >= wanted:
            return float(f"{_GROWTH ** (bucket + 0.5):.4g}")
    return None
