"""The table of permissions: what it has rows for, and what the docs show of it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
from starlette.routing import Route

from monitor.app import create_app
from monitor.auth.permissions import ROUTES, extension_calls, table
from monitor.auth.principal import ROLES
from monitor.auth.visibility import NAMES
from monitor.settings import Settings
from tests.support.applications import application
from tests.support.paths import ROOT
from tests.support.tokens import SECRET

DOCS = ROOT / "docs" / "security.md"
LOCAL = "http://localhost"
SETTINGS = Settings(jwt_secret=SECRET, test_events="on")


def routes() -> Iterator[tuple[str, str]]:
    for route in create_app(SETTINGS, {}).routes:
        path = getattr(route, "path", "").removeprefix("/api/v1")
        for method in getattr(route, "methods", None) or {"WS"}:
            yield "GET" if method == "HEAD" else method, path


def test_each_route_has_a_row_and_each_row_a_route() -> None:
    assert {f"{method} {path}" for method, path in routes()} == set(ROUTES)


async def test_a_route_without_a_row_is_refused() -> None:
    reached = next(each for each in create_app(Settings(), {}).routes if isinstance(each, Route))
    gate = reached.app._gate  # type: ignore[attr-defined]

    async def endpoint(request: Any) -> Any:
        raise AssertionError("it was let through")

    unlisted = Route("/unlisted", endpoint, middleware=gate.guard("/unlisted", "GET"))
    app = application([unlisted])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=LOCAL) as api:
        answer = await api.get("/unlisted")
    assert answer.status_code == 403
    assert "may not do this" in answer.json()["detail"]


def test_rules_check_every_row_that_a_path_names() -> None:
    unchecked = {
        (call, name)
        for call, permission in ROUTES.items()
        for name in re.findall(r"{(\w+)}", call)
        if any(rule and rule.theirs for rule in map(permission.rule, ROLES))
        if name not in NAMES
    }
    assert unchecked == set()


def test_the_docs_show_the_table() -> None:
    assert table() in DOCS.read_text()


def test_the_docs_list_what_pages_of_any_origin_may_call() -> None:
    assert f"\n\n{extension_calls()}\n\n" in DOCS.read_text()
