"""The sink of points. InfluxDB 1.x is real; of 2.x, which is not to be had, its wire is checked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from monitor.pipeline.influx import InfluxSink, Target
from monitor.pipeline.lines import line
from tests.made import made
from tests.servers import InfluxServer


@asynccontextmanager
async def endpoint(answers: list[int]) -> AsyncIterator[tuple[str, list[web.Request], list[bytes]]]:
    """An HTTP server that answers as told, then 204, and what it was sent."""
    requests: list[web.Request] = []
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.read())
        status = answers.pop(0) if answers else 204
        return (
            web.json_response({"message": "because"}, status=status)
            if status != 204
            else (web.Response(status=204))
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", requests, bodies
    finally:
        await runner.cleanup()


async def written(target: Target, *lines: str) -> InfluxSink:
    sink = InfluxSink(target, max_pending=1000)
    sink.start()
    await asyncio.sleep(0)
    sink.put(lines)
    await sink.stop(10)
    return sink


async def test_a_2x_server_gets_token_organisation_and_bucket() -> None:
    first, second = line(made()), line(made())
    async with endpoint([]) as (url, requests, bodies):
        sink = await written(Target(url, "progress_bucket", "secret", "my-org"), first, second)
    (request,) = requests
    assert request.path == "/api/v2/write"
    assert dict(request.query) == {"org": "my-org", "bucket": "progress_bucket", "precision": "ns"}
    assert request.headers["Authorization"] == "Token secret"
    assert bodies == [f"{first}\n{second}".encode()]
    assert sink.written == 2


async def test_an_error_that_will_pass_is_retried() -> None:
    async with endpoint([503, 500]) as (url, requests, _):
        sink = await written(Target(url, "bucket", "", "my-org"), line(made()))
    assert len(requests) == 3
    assert (sink.written, sink.failure) == (1, None)


async def test_points_that_influxdb_blames_are_not_sent_again() -> None:
    async with endpoint([400]) as (url, requests, _):
        sink = await written(Target(url, "bucket", "", "my-org"), line(made()))
    assert len(requests) == 1
    assert (sink.written, sink.refused) == (0, 1)


async def test_a_1x_database_is_made_when_it_is_missing(influx_server: InfluxServer) -> None:
    sink = await written(Target(influx_server.url, "made_by_the_sink", "", ""), line(made()))
    assert (sink.written, sink.pending) == (1, 0)


async def test_beyond_its_bound_the_oldest_points_are_dropped() -> None:
    sink = InfluxSink(Target("http://127.0.0.1:1", "bucket", "", ""), max_pending=2)
    sink.put(["a", "b", "c"])
    assert (sink.pending, sink.dropped) == (2, 1)
