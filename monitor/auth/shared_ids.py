"""Finds ids that two people use: two sessions at a time, from two addresses."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from monitor.events.event import Event

_AT_A_TIME = timedelta(minutes=10)
_MAX_IDS = 20_000  # in memory

Key = tuple[int, str]  # a class, and a student's user_id


class _Sender(msgspec.Struct):
    """The latest sender of an id, and when the one before it, at another address, sent last."""

    session: str
    address: str
    at: datetime
    other_address: str = ""
    other_at: datetime | None = None


class SharedIds:
    """Compares the senders of each id; a replica knows only of what is posted to it.

    An id is shared when a sender comes back after another session posted from another address. A
    laptop that moves to another network keeps its session, or does not come back; two tabs have one
    address.
    """

    def __init__(self) -> None:
        self._senders: dict[Key, _Sender] = {}
        self._shared: dict[Key, datetime] = {}

    def compare(self, class_id: int, address: str, events: Sequence[Event]) -> None:
        """Notes the senders of events that were posted with a class's key from an address."""
        senders = self._senders
        for event in events:
            key = (class_id, event.student)
            sender = senders.get(key)
            if sender and sender.address == address and sender.session == event.session:
                sender.at = event.received_at
            elif event.session is not None:
                self._change(key, sender, address, event)

    def take(self) -> dict[Key, datetime]:
        """The ids that were shared since the last call, and when."""
        shared, self._shared = self._shared, {}
        return shared

    def give_back(self, shared: dict[Key, datetime]) -> None:
        """Keeps for the next `take` what could not be written, as far as there is room."""
        for key, at in shared.items():
            if len(self._shared) < _MAX_IDS:
                self._shared.setdefault(key, at)

    def _change(self, key: Key, sender: _Sender | None, address: str, event: Event) -> None:
        session, at = event.session or "", event.received_at
        if sender is None:
            if len(self._senders) >= _MAX_IDS:
                self._senders.clear()
            self._senders[key] = _Sender(session, address, at)
        elif session == sender.session or address == sender.address:
            sender.session, sender.address, sender.at = session, address, at
        else:
            since = sender.other_at if address == sender.other_address else None
            is_back = since is not None and at - since <= _AT_A_TIME
            if is_back and len(self._shared) < _MAX_IDS:
                self._shared[key] = at
            self._senders[key] = _Sender(session, address, at, sender.address, sender.at)
