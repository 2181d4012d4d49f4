"""`/`: the page that a teacher keeps open, from files of our own and Chart.js from its package."""

import html
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_STATIC = Path(__file__).parent.parent / "static"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
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


def routes(prefix: str) -> list[Route]:
    # Relative, so that it works below any path that a proxy gives it.
    text = (_STATIC / "index.html").read_text()
    text = text.replace('"api/v1"', f'"{html.escape(prefix.strip("/"))}"')

    async def page(request: Request) -> Response:
        return HTMLResponse(text, headers=_HEADERS)

    files = _Files(directory=_STATIC, packages=[("chartkick", "django/static/chartkick")])
    return [Route("/", page), Route("/page/{path:path}", files, methods=["GET"])]
