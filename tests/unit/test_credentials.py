"""Reading a request's credential."""

from monitor.auth.credentials import _cached, find


def test_long_queries_are_not_cached() -> None:
    kept = [_cached.cache_info().currsize]
    for length in (50, 5000):
        query = b"x" * length
        assert find({"type": "http", "headers": [], "query_string": query}) is None
        kept.append(_cached.cache_info().currsize)
    assert kept[1:] == [kept[0] + 1] * 2
