"""Renders the Markdown of a submission where that costs nobody else anything."""

import msgspec

from monitor.errors import Conflict
from monitor.workers.job import Job, TooCostly
from monitor.workers.pool import Workers

_RENDER = Job("monitor.lms.markdown", "cells_as_json", seconds=5.0)


async def rendered_cells(workers: Workers, caller: str, content: msgspec.Raw) -> list[str | None]:
    """The HTML of each cell; None if it isn't Markdown, too long or nested too deep.

    Raises OverLimit where the caller has many rendered at a time, Conflict if that takes too much
    time or memory, and Unavailable.
    """
    try:
        return _CELLS.decode(await workers.run(caller, _RENDER, memoryview(content)))
    except TooCostly as error:
        reason = f"{error} to render: download the notebook, and open it in Jupyter"
        raise Conflict(reason) from None


_CELLS = msgspec.json.Decoder(list[str | None])
