"""`/`: the page that a teacher keeps open, from files of our own and Chart.js from its package."""

import html
from pathlib import Path
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from monitor.auth.gate import Guard
from monitor.insight.class_state import HELP_TIMEOUT, ClassStateQuery
from monitor.insight.running import RUN_TIMEOUT

STATIC = Path(__file__).parent.parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Files(StaticFiles):
    def get_path(self, scope: Scope) -> str:
        return str(scope["path_params"]["path"])

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


def routes(prefix: str, guard: Guard) -> list[Route]:
    """The page and its files. `prefix` is the API's path, as `/api/v1`."""
    text = _page(prefix)

    async def page(request: Request) -> Response:
        return HTMLResponse(text, headers=_HEADERS)

    files = _Files(directory=STATIC, packages=[("chartkick", "django/static/chartkick")])
    endpoints: dict[str, Any] = {"/": page, "/page/{path:path}": files}
    return [
        Route(path, endpoint, methods=["GET"], middleware=guard(path, "GET", "HEAD"))
        for path, endpoint in endpoints.items()
    ]


def _page(prefix: str) -> str:
    template = Template((STATIC / "index.html").read_text())
    return template.substitute(
        api=html.escape(prefix.strip("/")),  # relative: a proxy may serve all below a path
        idle_seconds=ClassStateQuery().idle_after,
        run_seconds=int(RUN_TIMEOUT.total_seconds()),
        help_seconds=int(HELP_TIMEOUT.total_seconds()),
    )
