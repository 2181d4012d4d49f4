"""The channels of one socket, by the names that its client gave."""

from collections.abc import Iterable, Set

from monitor.live.channels import Carriers
from monitor.live.hub import Hub
from monitor.live.subscriber import Subscriber


class Subscriptions:
    """Subscribes a socket at the hub to all that carries the channels that its client named."""

    def __init__(self, hub: Hub, subscriber: Subscriber) -> None:
        self._hub = hub
        self._subscriber = subscriber
        self._carriers: dict[str, frozenset[str]] = {}
        self._replayed: dict[str, frozenset[str]] = {}

    @property
    def names(self) -> Set[str]:
        """The names, as the client gave them."""
        return self._carriers.keys() | self._replayed.keys()

    def put(self, carriers: Carriers) -> None:
        """Adds channels."""
        self._carriers.update(carriers)
        self._apply()

    def replay(self, carriers: Carriers) -> None:
        """Names channels that are added by `put_replayed`, once the client has what it missed."""
        self._replayed = dict(carriers)

    def replayed(self) -> Set[str]:
        """The hub's channels that carry those being replayed."""
        return frozenset().union(*self._replayed.values())

    def put_replayed(self) -> None:
        """Adds the channels that were replayed."""
        replayed, self._replayed = self._replayed, {}
        self.put(replayed)

    def change(self, carriers: Carriers) -> None:
        """Changes what carries these channels, where it has them."""
        for present in (self._carriers, self._replayed):
            present.update((name, carriers[name]) for name in carriers.keys() & present.keys())
        self._apply()

    def remove(self, names: Iterable[str]) -> None:
        """Removes channels; names that it doesn't have are left alone."""
        for name in names:
            self._carriers.pop(name, None)
            self._replayed.pop(name, None)
        self._apply()

    def _apply(self) -> None:
        wanted = frozenset().union(*self._carriers.values())
        self._hub.unsubscribe(self._subscriber, self._subscriber.channels - wanted)
        self._hub.subscribe(self._subscriber, wanted)
