"""What all questions have in common."""

from typing import Literal

import msgspec


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`format`: as JSON, or as CSV for a spreadsheet."""

    format: Literal["json", "csv"] = "json"
