"""Prints the messages of some channels, without a gap: follow.py ws://host:8000/ws class:7 …"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


async def follow(base: str, channels: list[str]) -> AsyncIterator[dict[str, Any]]:
    since, pause = "", 0.5
    while True:
        query = urlencode({"channels": ",".join(channels), "since": since})
        try:
            async with connect(f"{base}?{query}") as socket:
                pause = 0.5
                async for text in socket:
                    message = json.loads(text)
                    since = message["id"]
                    # The one control message to act on: messages are lost, fetch the state by REST.
                    if message["channel"] or message["data"].get("recovered") is False:
                        yield message
        except (OSError, WebSocketException):
            pass
        await asyncio.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, 10)


async def main(base: str, *channels: str) -> None:
    async for message in follow(base, list(channels)):
        print(json.dumps(message, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
