"""The audit log: what instructors and administrators changed and exported."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from monitor.auth.principal import Principal
from monitor.database.pool import Connection
from monitor.database.resource import Resource

_CONTENTS = frozenset({"notebook_content", "feedback", "message", "url"})  # `url` holds a secret
AuditDetail = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"}, title="AuditDetail")
]


class AuditEntry(msgspec.Struct):
    """Who did what, and when. `detail` has the arguments, without contents and lists."""

    id: int
    at: datetime
    role: str
    name: str
    operation: str
    path: str
    detail: AuditDetail

    def __post_init__(self) -> None:
        if isinstance(self.detail, str):  # as PostgreSQL has it
            self.detail = msgspec.Raw(self.detail.encode())


AUDIT = Resource(AuditEntry, "audit_log", "entry")


def is_audited(principal: Principal, method: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a call goes to the audit log: a change or an export, and not a student's."""
    if principal.role not in ("instructor", "admin"):
        return False
    is_read = method in ("GET", "HEAD")
    return not is_read or getattr(arguments.get("query"), "format", "json") != "json"


async def record(
    connection: Connection,
    principal: Principal,
    *,
    operation: str,
    path: str = "",
    detail: Mapping[str, Any],
) -> None:
    """Writes an entry in the connection's transaction. `detail` has JSON's types and datetimes."""
    await connection.execute(
        _INSERT,
        principal.role,
        principal.name,
        operation,
        path.replace("\0", "\ufffd"),  # PostgreSQL's text has no NUL
        msgspec.json.encode(detail).decode(),
    )


async def record_refusals(
    connection: Connection,
    principal: Principal,
    *,
    entry: int | None,
    operation: str,
    path: str,
    detail: Mapping[str, Any],
) -> int:
    """Writes an entry for refused calls, or its new `detail`; returns the entry's id."""
    text = msgspec.json.encode(detail).decode()
    if entry is not None:
        await connection.execute(_UPDATE, entry, text)
        return entry
    path = path.replace("\0", "\ufffd")
    row_id: int = await connection.fetchval(
        _INSERT + "RETURNING id", principal.role, principal.name, operation, path, text
    )
    return row_id


def detail_of(body: Any) -> dict[str, Any]:
    """The log's extract of a request's body: plain fields; of an array its length."""
    if isinstance(body, list):
        return {"items": len(body)}
    if not isinstance(body, msgspec.Struct):
        return {}
    return {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if name not in _CONTENTS and isinstance(value, str | int | float | bool | datetime)
    }


_UPDATE = "UPDATE audit_log SET detail = $2 WHERE id = $1"

_INSERT = """
    INSERT INTO audit_log (role, name, operation, path, detail) VALUES ($1, $2, $3, $4, $5)
"""
