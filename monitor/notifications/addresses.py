"""Which addresses a process may connect to: not those of the server's own network.

They are checked when a socket connects, so neither DNS nor a redirect gets around it.
"""

import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"}
)
_NAT64 = IPv6Network("64:ff9b::/96")


class Boundary:
    """Keeps this process to public addresses and `networks`, and from starting programs.

    `refused` is whether it tried another address. It holds until the process ends.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self.refused = False
        self._networks = [ip_network(each) for each in networks]

    def close(self) -> None:
        """From now on anything else raises PermissionError."""
        sys.addaudithook(self._check)

    def allows(self, host: object) -> bool:
        """Whether a socket may connect to this host, an address as text."""
        try:
            address = _embedded(ip_address(str(host).partition("%")[0]))
        except ValueError:  # a name, or the path of a Unix socket
            return False
        if any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            raise PermissionError("No programs are started here")
        if event not in _CONNECTS:
            return
        address = arguments[1]
        if not isinstance(address, tuple) or not self.allows(address[0]):
            self.refused = True
            raise PermissionError("This address is not allowed")


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
