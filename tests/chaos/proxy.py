"""A failing InfluxDB: an HTTP proxy in front of the real one that delays and refuses."""

import asyncio
import io
import random
from typing import Self

import aiohttp
from aiohttp import web

REFUSED = b"help"  # in a line that is refused while `refusing`


class InfluxProxy:
    """Forwards requests, unless its attributes say otherwise."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.url = ""
        self.delay = 0.0  # seconds at most
        self.failing = False
        self.refusing = False

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._http.close()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.sleep(random.uniform(0, self.delay))
        if self.failing:
            return web.json_response({"error": "a bad day"}, status=500)
        if self.refusing and REFUSED in body:
            return web.json_response({"error": "a point that nobody wants"}, status=400)
        url = self._target + request.path_qs
        headers = {"Content-Type": request.content_type}
        try:
            async with self._http.request(
                request.method, url, data=io.BytesIO(body), headers=headers
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        except aiohttp.ClientError:
            return web.Response(status=502)
