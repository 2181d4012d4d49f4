"""Packed counters: many counts in one number's decimal digits (`sql/0001_first_version.sql`)."""

_DIGITS = 8  # of each count
_GROWTH = 1.1  # from one bucket of durations to the next


def unpack(number: str) -> list[int]:
    """The counts in `number`, a decimal without sign; the first one is in its last digits."""
    return [int(number[max(0, end - _DIGITS) : end]) for end in range(len(number), 0, -_DIGITS)]


def percentile(buckets: list[int], share: float) -> float | None:
    """The duration (ms) that `share` (0 to 1) of all don't exceed, within 5 %; None without any.

    `buckets` holds how many durations each bucket of the histogram has.
    """
    rank = share * sum(buckets)
    cumulated = 0
    for bucket, count in enumerate(buckets):
        cumulated += count
        if count and cumulated >= rank:
            return float(f"{_GROWTH ** (bucket + 0.5):.4g}")
    return None
