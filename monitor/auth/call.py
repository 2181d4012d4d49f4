"""The context of one request: who makes it, and what they are allowed."""

from functools import lru_cache

import msgspec

from monitor.auth.limits import Allowance, network_of
from monitor.auth.permissions import Permission, Rule
from monitor.auth.principal import NOBODY, OPEN, Principal

# Of the room for all: a student who uses their token and the class's key leaves some to the others.
_OF_MANY = 0.5  # an address, or a key that a class shares
_OF_ONE = 0.25  # a person, or a student's token


class Call(msgspec.Struct, gc=False):
    """A request or a socket behind the gate, kept in `scope["call"]`.

    `permission` is the table's row for it, `rule` the cell of the caller's role; None until the
    caller is known to have one. `allowances` are the caller's and their address's.
    `host` is the client's address.

    `payer` is who is charged for what the call costs: the credential; the address without one, and
    both for a key that a class shares. `part` is the most that the payer may hold of what all
    callers share: more if many stand for it.
    """

    permission: Permission
    principal: Principal = NOBODY
    rule: Rule | None = None
    allowances: tuple[Allowance, ...] = ()
    host: str = ""
    payer: str = ""
    part: float = _OF_MANY

    def __post_init__(self) -> None:
        self.identify(self.principal)

    def identify(self, principal: Principal) -> None:
        """Notes whose call it is."""
        self.principal = principal
        if principal is OPEN or principal is NOBODY:  # a person's might equal one of them
            self.payer, self.part = _address(self.host), _OF_MANY
        else:
            self.payer, self.part = _charged(principal, self.host)

    @property
    def ingest(self) -> bool:
        """Whether it posts events: then a limit is answered by 503."""
        return self.permission.ingest


@lru_cache(16_384)
def _address(host: str) -> str:
    return f"address {network_of(host)}"


@lru_cache(16_384)
def _charged(principal: Principal, host: str) -> tuple[str, float]:
    """The payer and their part."""
    if principal.role == "key" and principal.student is None:
        return f"{principal.key} at {network_of(host)}", _OF_MANY
    return principal.key, _OF_ONE
