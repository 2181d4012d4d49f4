"""The OpenAPI document, without a server."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount, Route, WebSocketRoute

from monitor.app import create_app
from monitor.http.ingest import IngestRoute
from monitor.settings import Settings

UNDESCRIBED = (
    "/join/",
    "/docs",
    "/page",
    "/login",
    "/logout",
    "/oauth_callback",
)  # pages for people, and their files


@pytest.fixture(scope="module")
async def document() -> dict[str, Any]:
    transport = httpx.ASGITransport(create_app(Settings(), {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        content: dict[str, Any] = (await client.get("/api/v1/openapi.json")).json()
        return content


def routes(all_routes: list[Any]) -> Iterator[Route | IngestRoute]:
    for route in all_routes:
        assert isinstance(route, Route | WebSocketRoute | Mount | IngestRoute)
        assert not isinstance(route, Mount) or route.path in UNDESCRIBED
        if (
            isinstance(route, Route | IngestRoute)
            and route.path != "/"
            and not route.path.startswith(UNDESCRIBED)
        ):
            yield route


def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"] == {"title": "Student Progress Tracker API", "version": "0.1.0"}


def test_it_has_each_route_and_each_route_has_it(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    served = {
        (method, route.path)
        for route in routes(create_app(Settings(), {}).routes)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert described == served


def test_each_operation_has_a_name_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    operations = [each for item in document["paths"].values() for each in item.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert all(each["summary"] and each["tags"] for each in operations)


def test_a_prefix_moves_all(document: dict[str, Any]) -> None:
    app = create_app(Settings(api_v1_str="/other"), {})
    moved = {route.path for route in routes(app.routes)}
    expected = {path.replace("/api/v1", "/other") for path in document["paths"]}
    assert moved == expected
