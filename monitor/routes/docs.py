"""`/docs`: the API to read and to try, by Swagger UI, without the internet."""

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from swagger_ui_bundle import swagger_ui_path

_AS_DECLARED = {"X-Content-Type-Options": "nosniff"}
_POLICY = {
    **_AS_DECLARED,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self';"
        " img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

# Relative links, so that it works below any path that a proxy gives it.
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
SwaggerUIBundle({url: %s, dom_id: "#api", deepLinking: true, validatorUrl: null})
"""
_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


def routes(prefix: str) -> list[Route]:
    document = msgspec.json.encode(f"{prefix}/openapi.json".lstrip("/")).decode()

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_POLICY)

    async def start(request: Request) -> Response:
        return Response(_START % document, headers=_AS_DECLARED, media_type="text/javascript")

    async def file(request: Request) -> Response:
        return FileResponse(
            swagger_ui_path / request.url.path.rpartition("/")[2], headers=_AS_DECLARED
        )

    return [
        Route("/docs", page),
        Route("/docs/start.js", start),
        *(Route(f"/docs/{name}", file) for name in _FILES),
    ]
