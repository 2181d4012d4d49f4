"""Callers: their roles, and what identifies them."""

from typing import Literal, get_args

import msgspec

Role = Literal["anyone", "key", "student", "instructor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


class Principal(msgspec.Struct, frozen=True, cache_hash=True):
    """A caller whose credential is valid until `expires`, in seconds since 1970.

    `name` is a person's `user_id`, or that of a key (`key 7`) or a student's token (`token 12`).
    `class_id` is the class of a key, or the one that the token was issued for. `student` is the
    user_id that the credential is bound to, `other_ids` are those that were merged into it; a token
    handed out to somebody who was not signed in is only `confirmed` once the teacher says so.
    `issued_at` is when a person's token (JWT) was issued, in seconds since 1970: -inf if it doesn't
    say so, inf for other credentials. `key` is made of the role and the name: names are unique only
    within a role.
    """

    role: Role
    name: str
    expires: float = float("inf")
    class_id: int | None = None
    student: str | None = None
    confirmed: bool = True
    other_ids: tuple[str, ...] = ()
    issued_at: float = float("inf")
    key: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "key", f"{self.role} {self.name}")

    @property
    def credential(self) -> str | None:
        """How events and other records name the credential: `key 7`, `token 12`, `person ann`."""
        if self.role == "key":
            return self.name
        return None if self in (NOBODY, OPEN) else f"person {self.name}"

    @property
    def is_staff(self) -> bool:
        """Whether it is a teacher, an assistant or an administrator."""
        return self.role in ("instructor", "admin")

    @property
    def is_student(self) -> bool:
        """Whether it is a student who is signed in, or a student's own token."""
        return self.role == "student" or (self.role == "key" and self.student is not None)


def person(
    role: Role, name: str, expires: float = float("inf"), *, issued_at: float = float("inf")
) -> Principal:
    """Somebody who is signed in: they post their own events, an administrator anybody's."""
    student = None if role == "admin" else name
    return Principal(role, name, expires, student=student, issued_at=issued_at)


NOBODY = Principal("anyone", "")
OPEN = Principal("admin", "anybody")  # everybody, on a server without credentials
