"""A JupyterHub that answers slowly."""

import asyncio
from typing import Self

from aiohttp import web

from tests.noisy.school import TEACHER

GOOD = "hub-"  # the teacher's tokens begin with it
DELAY = 0.1  # seconds


class SlowHub:
    """Knows one user, a teacher, by any number of tokens."""

    url: str

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/hub/api/user", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hub/api"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        await asyncio.sleep(DELAY)
        if not request.headers["Authorization"].startswith(f"token {GOOD}"):
            return web.json_response({"message": "Missing or invalid credentials"}, status=403)
        return web.json_response(
            {
                "kind": "user",
                "name": TEACHER,
                "admin": False,
                "groups": ["instructors"],
                "scopes": [f"access:servers!user={TEACHER}"],
            }
        )
