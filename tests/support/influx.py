"""Points read back from an InfluxDB."""

from typing import Any

import httpx

from tests.support.servers import InfluxServer


async def read_points(influx: InfluxServer, bucket: str) -> list[dict[str, Any]]:
    """Every point of `student_progress`, its tags and fields by name."""
    async with httpx.AsyncClient() as client:
        query = {"db": bucket, "q": "SELECT * FROM student_progress"}
        answer = (await client.get(f"{influx.url}/query", params=query)).json()
    return [
        dict(zip(series["columns"], row, strict=True))
        for series in answer["results"][0].get("series", [])
        for row in series["values"]
    ]
