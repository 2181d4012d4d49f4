"""Bounds on the new students and sessions that a caller's events name in a day.

Who posts with a key that a class shares can invent names. The bounds are far above what a school
does, so that only inventing meets them: each address with a shared credential has half of what the
credential has, so that one caller leaves some to the others. Students on a roster are not new.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from monitor.events.event import Event, Source
from monitor.events.metadata import as_raw, merged_json
from monitor.pipeline.class_choice import Place
from monitor.pipeline.rosters import Refusal

TOO_MANY_STUDENTS, TOO_MANY_SESSIONS = "too_many_students", "too_many_sessions"
STUDENTS = 5_000  # new ones a day, of a credential at one address; of the credential twice as many
SESSIONS = 50_000  # likewise
SESSIONS_OF_STUDENT = 1_000  # new ones a day, likewise
_DAY = 86_400.0  # seconds

Over = defaultdict[tuple[int, str], Counter[str]]  # events by class and reason, and by student


class DailyShare:
    """An amount that callers use up in a day, in this replica: each its share, by `take`."""

    def __init__(self, what: str, *, each: int) -> None:
        self.what = what
        self.refused = 0  # because of their sender
        self.exhausted = 0  # because of all that were sent with the credential
        self._each = each
        self._ends = 0.0  # by time.monotonic
        self._used: Counter[tuple[str | None, ...]] = Counter()

    def take(self, source: Source, of: str = "", each_of: int | None = None) -> bool:
        """Whether one more is in the share of who has sent it, which it takes then.

        With `each_of`, that is how many one sender has for `of`.
        """
        now = time.monotonic()
        if now >= self._ends:
            self._ends = now + _DAY
            self._used.clear()
        sender, credential, one = _keys(source, of)
        is_over = each_of is not None and self._used[one] >= each_of
        if is_over or self._used[sender] >= self._each:
            self.refused += 1
            return False
        if source.credential is not None and self._used[credential] >= 2 * self._each:
            self.exhausted += 1
            return False
        for key in {sender, credential, one}:
            self._used[key] += 1
        return True

    def give_back(self, source: Source, of: str = "") -> None:
        """Takes one back that was not new."""
        for key in set(_keys(source, of)):
            if self._used[key] > 1:
                self._used[key] -= 1
            else:
                del self._used[key]


def _keys(source: Source, of: str) -> tuple[tuple[str | None, ...], ...]:
    sender = source.credential, source.payer
    return sender, (source.credential,), (*sender, of)


class NewNames:
    """What has been named, and which sessions were left out."""

    def __init__(self) -> None:
        self.students = DailyShare("new students a day", each=STUDENTS)
        self.sessions = DailyShare("new sessions a day", each=SESSIONS)
        self._over: Over = defaultdict(Counter)

    def take_students(self, events: Sequence[Event]) -> dict[str, Source]:
        """The unknown students whom these events may name, with who has named each first."""
        sources: dict[str, Source] = {}
        refused: set[str] = set()
        for event in events:
            if event.student in sources or event.student in refused:
                continue
            if self.students.take(event.source):
                sources[event.student] = event.source
            else:
                refused.add(event.student)
        return sources

    def take_session(self, event: Event) -> bool:
        """Whether an event may name its session, which is unknown."""
        return self.sessions.take(event.source, event.student, SESSIONS_OF_STUDENT)

    def give_back_session(self, event: Event) -> None:
        """Takes the session back: it was not new."""
        self.sessions.give_back(event.source, event.student)

    def leave_session_out(self, event: Event, place: Place) -> None:
        """Keeps the event's session in its metadata only."""
        event.metadata = merged_json(event.metadata, {"sessionId": as_raw(event.session)})
        event.session = None
        if place.class_id:
            self._over[place.class_id, TOO_MANY_SESSIONS][event.student] += 1

    def take_refusals(self) -> list[Refusal]:
        """What pages of classes are to say of sessions that were left out, once."""
        over, self._over = self._over, defaultdict(Counter)
        return _refusals(over)


def of_students(events: Iterable[Event]) -> list[Refusal]:
    """What pages of classes are to say of events whose students are beyond the bound."""
    over: Over = defaultdict(Counter)
    for event in events:
        if event.source.class_id is not None:
            over[event.source.class_id, TOO_MANY_STUDENTS][event.student] += 1
    return _refusals(over)


def _refusals(over: Over) -> list[Refusal]:
    return [Refusal(*key, counts) for key, counts in sorted(over.items())]
