"""The operators' receivers: settings, not rows."""

import hashlib
import re
from collections.abc import Sequence

import msgspec

from monitor.notifications.texts import Language

_SCHEME = re.compile(r"[a-z]+")
_DIGEST = 16  # characters


class Operators(msgspec.Struct, frozen=True, kw_only=True):
    """Where the operators' notifications go, which, when, and in which language.

    `quiet_hours` is `HH:MM-HH:MM` in `time_zone`, or empty. `address` is the server's, for links;
    empty: there are none. `daily_events` is the limit of a credential.
    """

    urls: Sequence[str]
    kinds: Sequence[str]
    language: Language
    time_zone: str
    quiet_hours: str
    address: str
    health_seconds: float
    daily_events: int
    is_open: bool

    @property
    def quiet(self) -> tuple[str, str] | tuple[None, None]:
        """When the quiet hours begin and end."""
        begin, _, end = self.quiet_hours.partition("-")
        return (begin, end) if begin else (None, None)

    @property
    def by_digest(self) -> dict[str, str]:
        """The URLs by what stands for them in PostgreSQL and in reports."""
        return {digest(url): url for url in self.urls}


def digest(url: str) -> str:
    """What stands for a URL, and does not give it away: its scheme and a hash."""
    scheme = _SCHEME.match(url)
    hashed = hashlib.sha256(url.encode()).hexdigest()[:_DIGEST]
    return f"{scheme[0] if scheme else ''}-{hashed}"
