"""The empty Starlette route that requests are compared with, on uvicorn as `run.py` sets it up."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.workload import EVENTS


async def accept(_: Request) -> Response:
    return Response(b'{"message":"ok"}', 202, media_type="application/json")


async def health(_: Request) -> Response:
    return Response()


def main(port: int) -> None:
    app = Starlette(
        routes=[Route(EVENTS, accept, methods=["POST"]), Route("/health", health)],
    )
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
