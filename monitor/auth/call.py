"""The context of one request: who makes it, and what they are allowed."""

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
    """

    permission: Permission
    principal: Principal = NOBODY
    rule: Rule | None = None
    allowances: tuple[Allowance, ...] = ()
    host: str = ""

    @property
    def payer(self) -> str:
        """Who is charged for what this call costs: the credential.

        It is the address without one, and both for a key that a class shares.
        """
        principal = self.principal
        if principal is OPEN or principal is NOBODY:
            return f"address {network_of(self.host)}"
        if principal.role == "key" and principal.student is None:
            return f"{principal.key} at {network_of(self.host)}"
        return principal.key

    @property
    def part(self) -> float:
        """The most that the payer may hold of what all callers share: more if many stand for it."""
        principal = self.principal
        if principal is OPEN or principal is NOBODY:
            return _OF_MANY
        return _OF_MANY if principal.role == "key" and principal.student is None else _OF_ONE

    @property
    def ingest(self) -> bool:
        """Whether it posts events: then a limit is answered by 503."""
        return self.permission.ingest
