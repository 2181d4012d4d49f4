"""Which addresses a process may connect to: not those of the server's own network.

They are checked when a socket connects, so neither DNS nor a redirect gets around it.
"""

import socket
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"}
)
# Prefixes before an IPv4 address: NAT64, "compatible", and translated without state.
_PREFIXES = tuple(map(IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # where the IPv4 address is in it, the site decides


class Boundary:
    """Keeps this process to public addresses and `networks`, and from starting programs.

    `refused_networks` are left out of both, and addresses of this machine are no public ones.
    `refused` is whether it tried another address. It holds until the process ends.
    """

    def __init__(self, networks: Sequence[str], refused_networks: Sequence[str] = ()) -> None:
        self.refused = False
        self._networks = [ip_network(each) for each in networks]
        self._refused_networks = [ip_network(each) for each in refused_networks]
        self._is_asking = False  # the system whether an address is its own

    def close(self) -> None:
        """From now on anything else raises PermissionError."""
        sys.addaudithook(self._check)

    def allows(self, host: object) -> bool:
        """Whether a socket may connect to this host, an address as text."""
        try:
            address = ip_address(str(host).partition("%")[0])
        except ValueError:  # a name, or the path of a Unix socket
            return False
        meant = _embedded(address)
        if any(each in network for network in self._refused_networks for each in (address, meant)):
            return False
        if any(meant in network for network in self._networks):
            return True
        if address in _LOCAL_NAT64 or not meant.is_global or meant.is_multicast:
            return False
        return not (self._is_own(address) or self._is_own(meant))

    def _is_own(self, address: Address) -> bool:
        self._is_asking = True
        try:
            return is_own(address)
        finally:
            self._is_asking = False

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            raise PermissionError("No programs are started here")
        if event not in _CONNECTS or self._is_asking:
            return
        address = arguments[1]
        if not isinstance(address, tuple) or not self.allows(address[0]):
            self.refused = True
            raise PermissionError("This address is not allowed")


def is_own(address: Address) -> bool:
    """Whether an address is one of this machine's, which answers itself. Sends nothing."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:  # there is no way to it
        return False


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in prefix for prefix in _PREFIXES):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
