"""`/docs`: Swagger UI for the API, served without the internet.

It shows nothing by itself: the API's description is read with the token of `/docs#token=…`.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from swagger_ui_bundle import swagger_ui_path

from monitor.auth.gate import Guard

_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self';"
        " img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

# Relative links, so that it works below any path of a proxy.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Cell Monitor API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = """
const token = new URLSearchParams(location.hash.slice(1)).get("token")
if (token) history.replaceState(null, "", location.pathname)
const requestInterceptor = request => {
  if (token) request.headers.Authorization = `Bearer ${token}`
  else request.headers["X-Cell-Monitor"] = "page"
  return request
}
const url = %s
SwaggerUIBundle({url, requestInterceptor, dom_id: "#api", deepLinking: true, validatorUrl: null})
"""
_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


def routes(prefix: str, guard: Guard) -> list[Route]:
    """The page, its script and the files of Swagger UI."""
    document = msgspec.json.encode(f"{prefix}/openapi.json".lstrip("/")).decode()

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_POLICY)

    async def start(request: Request) -> Response:
        return Response(_START % document, media_type="text/javascript")

    async def file(request: Request) -> Response:
        return FileResponse(swagger_ui_path / request.url.path.rpartition("/")[2])

    endpoints = {"/docs": page, "/docs/start.js": start, **{f"/docs/{f}": file for f in _FILES}}
    return [
        Route(path, endpoint, middleware=guard(path, "GET", "HEAD"))
        for path, endpoint in endpoints.items()
    ]
