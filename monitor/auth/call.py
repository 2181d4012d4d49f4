"""The context of one request: who makes it, and what they are allowed."""

import msgspec

from monitor.auth.limits import Allowance
from monitor.auth.permissions import Permission, Rule
from monitor.auth.principal import NOBODY, Principal


class Call(msgspec.Struct, gc=False):
    """A request or a socket behind the gate, kept in `scope["call"]`.

    `permission` is the table's row for it, `rule` the cell of the caller's role; None until the
    caller is known to have one. `allowances` are the caller's and their address's.
    """

    permission: Permission
    principal: Principal = NOBODY
    rule: Rule | None = None
    allowances: tuple[Allowance, ...] = ()

    @property
    def ingest(self) -> bool:
        """Whether it posts events: then a limit is answered by 503."""
        return self.permission.ingest
