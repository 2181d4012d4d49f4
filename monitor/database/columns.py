"""Rows as the arrays that `unnest` takes."""

from collections.abc import Sequence
from typing import Any


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """The first `width` columns of the rows, of which there may be none."""
    return [[row[column] for row in rows] for column in range(width)]
