"""What people with power did: which calls are noted, and what of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.types import Scope

from monitor.auth.principal import Principal
from monitor.database.pool import Act
from monitor.database.resource import Resource

_CONTENTS = frozenset({"notebook_content", "feedback", "message"})
Detail = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"}, title="Detail")]


class AuditEntry(msgspec.Struct):
    """Who did what, and when. `detail` is what was sent, but for contents and lists."""

    id: int
    at: datetime
    role: str
    name: str
    operation: str
    path: str
    detail: Detail

    def __post_init__(self) -> None:
        if isinstance(self.detail, str):  # as PostgreSQL has it
            self.detail = msgspec.Raw(self.detail.encode())


AUDIT = Resource(AuditEntry, "audit_log", "entry")


def act_of(scope: Scope, principal: Principal, found: Mapping[str, Any]) -> Act | None:
    """What is to be noted of a call; None of one that only reads, or is a student's."""
    if principal.role not in ("instructor", "admin"):
        return None
    if scope["method"] in ("GET", "HEAD") and getattr(found.get("query"), "format", "") != "csv":
        return None
    detail = msgspec.json.encode(_told(found.get("body"))).decode()
    operation = f"{scope['method']} {scope['route'].path}"
    path = scope["path"].replace("\0", "\ufffd")  # no text in PostgreSQL can hold it
    return Act(principal.role, principal.name, operation, path, detail)


def _told(body: Any) -> dict[str, Any]:
    if isinstance(body, list):
        return {"items": len(body)}
    if not isinstance(body, msgspec.Struct):
        return {}
    return {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if name not in _CONTENTS and isinstance(value, str | int | float | bool | datetime)
    }
