"""`GET /metrics`, at the root, where scrapers look for it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from monitor.auth.scraping import PATH
from monitor.errors import Forbidden, OverLimit, Unauthenticated
from monitor.http.answers import Answer, errors
from monitor.http.declarations import Operation
from monitor.metrics.exposition import Exposition
from monitor.metrics.negotiation import OPENMETRICS, TEXT


def operation(scrape: Callable[[str], Awaitable[Exposition]]) -> Operation:
    """`scrape` is called with the `Accept` header."""

    async def get_metrics(request: Request) -> Response:
        """What an operator watches, for Prometheus: for administrators, or by METRICS_TOKEN."""
        body, content_type = await scrape(request.headers.get("accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return Response(body, headers=headers)

    return Operation(
        method="GET",
        path=PATH,
        name=get_metrics.__name__,
        summary=get_metrics.__doc__ or "",
        tag="metrics",
        endpoint=get_metrics,
        answers={
            200: Answer("The metrics", {TEXT: str, OPENMETRICS: str}),
            **errors(Unauthenticated, Forbidden, OverLimit),
        },
    )
