"""Origins: whose pages may call, and with what."""

from typing import Any

import pytest

from monitor.auth.origins import Origins
from monitor.errors import Forbidden

ELSEWHERE, OURS = "https://jupyter.example", "https://school.example"


def scope(origin: str = "", host: str = "school.example") -> dict[str, Any]:
    headers = [(b"host", host.encode()), (b"cookie", b"session=1"), (b"accept", b"*/*")]
    if origin:
        headers.append((b"origin", origin.encode()))
    return {"headers": headers}


def has_cookie(scope: dict[str, Any]) -> bool:
    return any(name == b"cookie" for name, _ in scope["headers"])


def test_the_extensions_calls_from_elsewhere_lose_their_cookies() -> None:
    call = scope(ELSEWHERE)
    Origins(["*"], loopback_only=False).check(call, from_extension=True)
    assert not has_cookie(call)
    assert len(call["headers"]) == 3


@pytest.mark.parametrize("origin", ["", OURS])
def test_our_own_pages_keep_theirs(origin: str) -> None:
    call = scope(origin)
    Origins(["*"], loopback_only=False).check(call, from_extension=True)
    assert has_cookie(call)


def test_any_origin_is_for_the_extensions_calls_alone() -> None:
    with pytest.raises(Forbidden, match="BACKEND_CORS_ORIGINS"):
        Origins(["*"], loopback_only=False).check(scope(ELSEWHERE))


def test_named_origins_replace_any() -> None:
    named = Origins([ELSEWHERE], loopback_only=False)
    named.check(scope(ELSEWHERE))
    with pytest.raises(Forbidden, match="BACKEND_CORS_ORIGINS"):
        named.check(scope("https://evil.example"), from_extension=True)


def test_an_open_server_is_called_by_a_name_of_this_machine() -> None:
    with pytest.raises(Forbidden, match="Host"):
        Origins(["*"], loopback_only=True).check(scope(ELSEWHERE), from_extension=True)


@pytest.mark.parametrize(
    "origin", ["http://localhost:8888", "http://127.0.0.1:9999", "http://[::1]:8888"]
)
def test_an_open_server_does_the_extensions_calls_for_pages_of_its_machine(origin: str) -> None:
    Origins(["*"], loopback_only=True, is_open=True).check(
        scope(origin, host="localhost:8000"), from_extension=True
    )


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null"]
)
def test_an_open_server_does_them_for_no_other_page_that_is_not_named(origin: str) -> None:
    with pytest.raises(Forbidden, match="BACKEND_CORS_ORIGINS"):
        Origins(["*"], loopback_only=False, is_open=True).check(
            scope(origin, host="localhost:8000"), from_extension=True
        )
    named = Origins(["*", origin], loopback_only=False, is_open=True)
    named.check(scope(origin, host="localhost:8000"), from_extension=True)
