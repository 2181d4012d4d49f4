"""Background tasks, and how they end."""

import asyncio

_PATIENCE = 1.0  # seconds for what a task has to let go of


async def cancel_and_wait(*tasks: asyncio.Task[None] | None) -> None:
    """Cancels tasks until they have ended.

    Once is not always enough: where a connection breaks at that moment, its error takes the place
    of the cancellation, and the task goes on.
    """
    pending = {task for task in tasks if task}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_PATIENCE)
