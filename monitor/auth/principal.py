"""Callers: their roles, and what identifies them."""

from typing import Literal, get_args

import msgspec

Role = Literal["anyone", "key", "student", "instructor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


class Principal(msgspec.Struct, frozen=True):
    """A caller whose credential is valid until `expires`, in seconds since 1970.

    `name` is a person's `user_id`, or a key's id; `class_id` the class that a key enrols in.
    """

    role: Role
    name: str
    expires: float = float("inf")
    class_id: int | None = None

    @property
    def key(self) -> str:
        """The key for rate limits: names are unique only within a role."""
        return f"{self.role} {self.name}"


NOBODY = Principal("anyone", "")
OPEN = Principal("admin", "anybody")  # everybody, on a server without credentials
