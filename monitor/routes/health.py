"""Whether the server does its work, part by part."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.pipeline.health import Health
from monitor.routes.responses import json_response


def routes(prefix: str, check: Callable[[], Awaitable[Health]]) -> list[Route]:
    async def health(request: Request) -> Response:
        state = await check()
        return json_response(state, 503 if state.status == "down" else 200)

    async def live(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        state = await check()
        return json_response({"status": state.status}, 503 if state.status == "down" else 200)

    return [
        Route(f"{base}/health{path}", endpoint)
        for base in dict.fromkeys(("", prefix))
        for path, endpoint in (("", health), ("/live", live), ("/ready", ready))
    ]
