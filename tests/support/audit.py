"""The audit log as tests read it: the changes, without what was refused meanwhile."""

from typing import Any

import httpx


async def changes(api: httpx.AsyncClient, *, skip: int) -> list[dict[str, Any]]:
    """The entries after the first `skip`, for an administrator."""
    entries = (await api.get("/audit", params={"skip": skip, "limit": 500})).json()
    return [each for each in entries if not each["operation"].startswith("refused")]


async def last_changes(api: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The last entries, for an administrator."""
    total = int((await api.get("/audit")).headers["X-Total-Count"])
    return (await changes(api, skip=max(0, total - 400)))[-count:]
