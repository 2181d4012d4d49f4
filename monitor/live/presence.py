"""Who is connected to which class, here and at the other replicas."""

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

_CLASS = re.compile(r"class:\d+")

Present = dict[str, dict[str, int]]  # by channel and name, the number of sockets


class Member(msgspec.Struct):
    """A name, null for sockets that gave none, and how many sockets have it."""

    name: str | None
    sockets: int


class Attendance(msgspec.Struct):
    """The sockets that a class's channel has at all replicas."""

    count: int
    members: list[Member]


class Presence:
    """Counts the sockets of each class channel by name; other replicas report their own counts."""

    def __init__(self) -> None:
        self.here: Present = {}
        self.elsewhere: dict[str, Present] = {}  # by replica
        self.version = 0  # incremented by each change of `here`

    def enter(self, channel: str, name: str) -> None:
        """Counts a socket of this name (empty for none) if the channel is a class's."""
        if _CLASS.fullmatch(channel):
            self.version += 1
            names = self.here.setdefault(channel, {})
            names[name] = names.get(name, 0) + 1

    def leave(self, channel: str, name: str) -> None:
        """Undoes an `enter` with the same arguments. Raises KeyError if there was none."""
        if _CLASS.fullmatch(channel):
            self.version += 1
            names = self.here[channel]
            names[name] -= 1
            if not names[name]:
                del names[name]
            if not names:
                del self.here[channel]

    def of(self, channel: str) -> Attendance:
        """The sockets on a channel `class:{id}` at all replicas, by name in alphabetical order."""
        total: Counter[str] = Counter()
        replicas: list[Mapping[str, Mapping[str, int]]] = [self.here, *self.elsewhere.values()]
        for present in replicas:
            total.update(present.get(channel, {}))
        members = [Member(name or None, sockets) for name, sockets in sorted(total.items())]
        return Attendance(total.total(), members)
