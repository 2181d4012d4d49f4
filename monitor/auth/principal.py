"""Who calls: the roles there are, and what a caller is known by."""

from typing import Literal, get_args

import msgspec

Role = Literal["anyone", "key", "student", "instructor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


class Principal(msgspec.Struct, frozen=True):
    """A caller whose credential holds until `expires`, in seconds since 1970.

    `name` is a person's `user_id`, or a key's id; `class_id` is the class that a key enrols in.
    """

    role: Role
    name: str
    expires: float = float("inf")
    class_id: int | None = None

    @property
    def title(self) -> str:
        """By which it is counted: names are one role's."""
        return f"{self.role} {self.name}"


NOBODY = Principal("anyone", "")
OPEN = Principal("admin", "anybody")  # who calls a server without credentials
