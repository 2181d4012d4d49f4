"""`/`: the page that a teacher keeps open, from files of our own and Chart.js from its package."""

from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_STATIC = Path(__file__).parent.parent / "static"
_AS_DECLARED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
_POLICY = {
    **_AS_DECLARED,
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_AS_DECLARED)
        return response


def routes(prefix: str) -> list[BaseRoute]:
    # Relative, so that it works below any path that a proxy gives it.
    text = (_STATIC / "index.html").read_text()
    html = text.replace("api/v1", msgspec.json.encode(prefix.strip("/")).decode()[1:-1])

    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers=_POLICY)

    files = _Files(directory=_STATIC, packages=[("chartkick", "django/static/chartkick")])
    return [Route("/", page), Mount("/page", files)]
