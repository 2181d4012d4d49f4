"""Metrics of the disk that DATA_DIR is on: the spool and the embedded PostgreSQL need its room."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Metric

from monitor.metrics.families import gauge


class Disk(NamedTuple):
    """In bytes."""

    size: int
    free: int


async def read_disk(data_dir: Path) -> Disk:
    """In a thread, because a disk of the network may hang. Raises OSError."""
    usage = await asyncio.to_thread(shutil.disk_usage, data_dir)
    return Disk(usage.total, usage.free)


def disk_metrics(disk: Disk) -> Iterator[Metric]:
    """From what `read_disk` returns."""
    yield gauge("data_dir_size_bytes", "Size of the disk that DATA_DIR is on.", disk.size)
    yield gauge("data_dir_free_bytes", "What is free there.", disk.free)
