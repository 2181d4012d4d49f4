"""The permissions: who may call an operation or subscribe to a channel; see docs/security.md.

A call that is not in the table is refused.
"""

from collections.abc import Mapping

import msgspec

from monitor.auth.principal import ROLES, Role


class Rule(msgspec.Struct, frozen=True):
    """The conditions under which a role may make a call.

    With `theirs`, all rows that the call's arguments name are visible to the caller, except those
    that an argument in `exempt` names; with `as_teacher` only classes count in which the caller is
    a teacher, not an assistant. Arguments in `required` have to be sent; `forbidden_fields`
    of the body are for others to set. A POST that also `changes` rows which it names locks them as
    a PUT does. `label` is the cell in the documentation's table.
    """

    label: str
    theirs: bool = False
    as_teacher: bool = False
    changes: bool = False
    exempt: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    forbidden_fields: frozenset[str] = frozenset()


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """Who may make a call. On `ingest` routes limits are answered by 503.

    Calls that are `uncounted` have no limit: to refuse them would cost as much as to answer them.
    What the JupyterLab extension calls comes `from_extension`: from pages of any origin.
    """

    anyone: Rule | None = None
    key: Rule | None = None
    student: Rule | None = None
    instructor: Rule | None = None
    admin: Rule | None = None
    ingest: bool = False
    uncounted: bool = False
    from_extension: bool = False

    def rule(self, role: Role) -> Rule | None:
        """The rule of a role; None where it may not make the call."""
        rule: Rule | None = getattr(self, role)
        return rule


YES = Rule("yes")
PLAIN = Rule("`status` only")
AS_THEMSELVES = Rule("as themselves")
THEIRS = Rule("theirs", theirs=True)
AS_TEACHER = Rule("theirs, as teacher", theirs=True, as_teacher=True)
OWN = Rule("their own", theirs=True)
# As teacher: a line of the roster says who is a teacher.
ROSTER_LINE = Rule(
    "theirs, as teacher", theirs=True, as_teacher=True, exempt=frozenset({"student_id"})
)
ENROL = Rule(
    "theirs, as teacher; new students",
    theirs=True,
    as_teacher=True,
    changes=True,
    exempt=frozenset({"user_id"}),
)
HAND_IN = Rule(
    "theirs, ungraded", theirs=True, forbidden_fields=frozenset({"grade", "feedback", "status"})
)
IN_A_CLASS = Rule("theirs, with a class", theirs=True, required=frozenset({"class_id"}))

ASSIGN = Rule(
    "theirs, as teacher of both classes",
    theirs=True,
    as_teacher=True,
    required=frozenset({"from_class_id"}),
)

_INGEST = Permission(
    key=YES,
    student=AS_THEMSELVES,
    instructor=AS_THEMSELVES,
    admin=YES,
    ingest=True,
    from_extension=True,
)
_PROBE = Permission(anyone=YES, key=YES, student=YES, instructor=YES, admin=YES, uncounted=True)
_ANYONE = Permission(anyone=YES, key=YES, student=YES, instructor=YES, admin=YES)
_HEALTH = Permission(
    anyone=PLAIN, key=PLAIN, student=PLAIN, instructor=PLAIN, admin=YES, from_extension=True
)
_PEOPLE = Permission(student=YES, instructor=YES, admin=YES)
_SOCKETS = Permission(student=YES, instructor=YES, admin=YES, from_extension=True)
_MEMBERS = Permission(student=THEIRS, instructor=THEIRS, admin=YES)
_WORK = Permission(student=THEIRS, instructor=THEIRS, admin=YES, from_extension=True)
_OWN = Permission(student=THEIRS, admin=YES)
_STAFF = Permission(instructor=THEIRS, admin=YES)
_TEACHER = Permission(instructor=AS_TEACHER, admin=YES)
_ADMIN = Permission(admin=YES)
_STAFF_CREATES = Permission(instructor=YES, admin=YES)

ROUTES: Mapping[str, Permission] = {
    "POST /events": _INGEST,
    "POST /student-progress": _INGEST,
    "POST /cell-monitor": _INGEST,
    "GET /health": _HEALTH,
    "GET /health/live": _PROBE,
    "GET /health/ready": _PROBE,
    "GET /metrics": _ADMIN,
    "POST /classes": _STAFF_CREATES,
    "GET /classes": _MEMBERS,
    "GET /classes/{class_id}": _MEMBERS,
    "PUT /classes/{class_id}": _TEACHER,
    "DELETE /classes/{class_id}": _TEACHER,
    "POST /classes/{class_id}/copy": _STAFF,
    "GET /overview": _STAFF,
    "POST /classes/{class_id}/assign": Permission(instructor=ASSIGN, admin=YES),
    "GET /classes/{class_id}/now": _STAFF,
    "GET /classes/{class_id}/activity": _STAFF,
    "GET /classes/{class_id}/presence": _STAFF,
    "GET /classes/{class_id}/notebooks/{notebook_id}/cells": _STAFF,
    "GET /classes/{class_id}/notebooks/{notebook_id}/students": _STAFF,
    "GET /classes/{class_id}/notebooks/{notebook_id}/copies": _STAFF,
    "POST /classes/{class_id}/notebooks/{notebook_id}/merge": _TEACHER,
    "POST /classes/{class_id}/notebooks/{notebook_id}/keep-apart": _TEACHER,
    "DELETE /classes/{class_id}/notebooks/{notebook_id}/decision": _TEACHER,
    "GET /classes/{class_id}/notebooks/{notebook_id}/attempts": _STAFF,
    "GET /classes/{class_id}/errors": _STAFF,
    "GET /classes/{class_id}/help": _STAFF,
    "POST /classes/{class_id}/help/{student_id}/take": _STAFF,
    "POST /classes/{class_id}/help/{student_id}/resolve": _STAFF,
    "POST /classes/{class_id}/help/{student_id}/return": _STAFF,
    "POST /classes/{class_id}/help/{student_id}/undo": _STAFF,
    "GET /classes/{class_id}/duties": _STAFF,
    "PUT /classes/{class_id}/duties": _STAFF,
    "GET /classes/{class_id}/room": _STAFF,
    "PUT /classes/{class_id}/room": _STAFF,
    "GET /classes/{class_id}/students": _STAFF,
    "GET /classes/{class_id}/grades": _STAFF,
    "POST /classes/{class_id}/students": Permission(instructor=ENROL, admin=YES),
    "GET /classes/{class_id}/invite": _STAFF,
    "POST /classes/{class_id}/invite": _STAFF,
    "POST /classes/{class_id}/invite/rotate": _STAFF,
    "DELETE /classes/{class_id}/invite": _STAFF,
    "POST /classes/{class_id}/roster": Permission(instructor=ENROL, admin=YES),
    "PUT /classes/{class_id}/students/{student_id}": Permission(instructor=ROSTER_LINE, admin=YES),
    "DELETE /classes/{class_id}/students/{student_id}": Permission(
        instructor=ROSTER_LINE, admin=YES
    ),
    "GET /classes/{class_id}/waiting": _STAFF,
    "POST /classes/{class_id}/waiting/admit": _TEACHER,
    "POST /classes/{class_id}/waiting/refuse": _TEACHER,
    "GET /classes/{class_id}/refusals": _STAFF,
    "GET /heard": _STAFF,
    "GET /me": Permission(student=OWN),
    "GET /me/assignments": Permission(student=OWN),
    "POST /students": _ADMIN,
    "GET /students": _MEMBERS,
    "GET /students/{student_id}": _MEMBERS,
    "GET /students/{student_id}/timeline": _MEMBERS,
    "GET /students/{student_id}/pictures": _MEMBERS,
    "GET /students/{student_id}/changes": _MEMBERS,
    "GET /students/{student_id}/accesses": _MEMBERS,
    "GET /students/{student_id}/sessions": _OWN,
    "GET /students/{student_id}/submissions": _MEMBERS,
    "PUT /students/{student_id}": _ADMIN,
    "DELETE /students/{student_id}": _ADMIN,
    "POST /students/{student_id}/merge": _ADMIN,
    "POST /notebooks": Permission(instructor=IN_A_CLASS, admin=YES),
    "GET /notebooks": _MEMBERS,
    "GET /notebooks/{notebook_id}": _MEMBERS,
    "PUT /notebooks/{notebook_id}": _ADMIN,
    "DELETE /notebooks/{notebook_id}": _ADMIN,
    "POST /assignments": _STAFF,
    "GET /assignments": _WORK,
    "GET /assignments/{assignment_id}": _MEMBERS,
    "GET /assignments/{assignment_id}/cells": _STAFF,
    "GET /assignments/{assignment_id}/grades": _STAFF,
    "GET /assignments/{assignment_id}/analysis": _STAFF,
    "GET /assignments/{assignment_id}/progress": _STAFF,
    "PUT /assignments/{assignment_id}": _STAFF,
    "DELETE /assignments/{assignment_id}": _TEACHER,
    "POST /submissions": Permission(
        student=HAND_IN, instructor=THEIRS, admin=YES, from_extension=True
    ),
    "GET /submissions": _WORK,
    "GET /submissions/{submission_id}": _MEMBERS,
    "GET /submissions/{submission_id}/markdown": _MEMBERS,
    "PUT /submissions/{submission_id}": _STAFF,
    "DELETE /submissions/{submission_id}": _TEACHER,
    "POST /notices": Permission(instructor=IN_A_CLASS, admin=YES),
    "POST /ingest-keys": Permission(instructor=IN_A_CLASS, admin=YES),
    "GET /ingest-keys": _STAFF,
    "POST /ingest-keys/{key_id}/rotate": _STAFF,
    "DELETE /ingest-keys/{key_id}": _STAFF,
    "POST /classes/{class_id}/tokens": _TEACHER,
    "GET /student-tokens": Permission(student=OWN, instructor=THEIRS, admin=YES),
    "POST /student-tokens/{token_id}/rotate": Permission(
        student=OWN, instructor=AS_TEACHER, admin=YES
    ),
    "POST /student-tokens/{token_id}/confirm": _TEACHER,
    "DELETE /student-tokens/{token_id}": _TEACHER,
    "POST /token-revocations": _ADMIN,
    "GET /token-revocations": _ADMIN,
    "GET /ingest-keys/{key_id}/events": _STAFF,
    "GET /ingest-keys/{key_id}/students": _STAFF,
    "POST /ingest-keys/{key_id}/withdraw": _TEACHER,
    "GET /student-tokens/{token_id}/events": _STAFF,
    "POST /student-tokens/{token_id}/withdraw": _TEACHER,
    "GET /withdrawals": _STAFF,
    "GET /withdrawals/{withdrawal_id}": _STAFF,
    "POST /withdrawals/{withdrawal_id}/replay": _TEACHER,
    "GET /classes/{class_id}/notification-rules": _STAFF,
    "PUT /classes/{class_id}/notification-rules": _TEACHER,
    "POST /notification-receivers": _TEACHER,
    "GET /notification-receivers": _STAFF,
    "PUT /notification-receivers/{receiver_id}": _TEACHER,
    "DELETE /notification-receivers/{receiver_id}": _TEACHER,
    "POST /notification-receivers/{receiver_id}/test": _TEACHER,
    "POST /notifications/test": _ADMIN,
    "POST /demos": _ADMIN,
    "DELETE /demos/{class_id}": _ADMIN,
    "GET /audit": _ADMIN,
    "GET /rejected-events": _STAFF,
    "POST /rejected-events/{letter_id}/replay": _TEACHER,
    "DELETE /rejected-events/{letter_id}": _ADMIN,
    "POST /test/events/{test_id}": _ADMIN,
    "GET /test/events/{test_id}": _ADMIN,
    "DELETE /test/events/{test_id}": _ADMIN,
    "GET /test/events": _ADMIN,
    "GET /openapi.json": _PEOPLE,
    "GET /docs": _PROBE,
    "GET /docs/start.js": _PROBE,
    "GET /docs/swagger-ui.css": _PROBE,
    "GET /docs/swagger-ui-bundle.js": _PROBE,
    "GET /docs/favicon-32x32.png": _PROBE,
    "GET /": _PROBE,
    "GET /page/{path:path}": _PROBE,
    "GET /login": _ANYONE,
    "GET /login/callback": _ANYONE,
    "GET /oauth_callback": _ANYONE,
    "GET /login/session": _PEOPLE,
    "POST /logout": _ANYONE,
    "GET /join/{code}": _PROBE,
    "POST /join/{code}/token": Permission(
        anyone=YES, student=AS_THEMSELVES, instructor=YES, admin=YES
    ),
    "WS /ws": _SOCKETS,
}

CHANNELS: Mapping[str, Permission] = {
    "*": _ADMIN,
    "progress:*": _ADMIN,
    "progress:{user_id}": _MEMBERS,
    "notifications:{user_id}": Permission(student=THEIRS, instructor=OWN, admin=YES),
    "class:{class_id}": _STAFF,
    "notices:{class_id}": _MEMBERS,
    "broadcast": _PEOPLE,
}


def table() -> str:
    """The table in Markdown."""
    head = ["| | " + " | ".join(ROLES) + " |", "|---" * (len(ROLES) + 1) + "|"]
    lines = [
        f"| `{name}` | " + " | ".join(_cell(row.rule(role)) for role in ROLES) + " |"
        for name, row in (*ROUTES.items(), *CHANNELS.items())
    ]
    return "\n".join([*head, *lines])


def extension_calls() -> str:
    """What pages of any origin may call, as a list in Markdown."""
    return "\n".join(f"- `{name}`" for name, row in ROUTES.items() if row.from_extension)


def _cell(rule: Rule | None) -> str:
    return rule.label if rule else "–"
