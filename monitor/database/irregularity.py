"""What is odd about a notebook that was handed in, as it is stored with the submission."""

import msgspec


class Irregularity(msgspec.Struct):
    """A finding about a cell, by its index from 0; `cell` is null if it is about the notebook."""

    cell: int | None
    finding: str


def stored(irregularities: list[Irregularity]) -> str:
    """As PostgreSQL stores them."""
    return msgspec.json.encode(irregularities).decode()


def read(irregularities: str | list[Irregularity]) -> list[Irregularity]:
    """From what PostgreSQL returns."""
    if isinstance(irregularities, str):
        return _IRREGULARITIES.decode(irregularities)
    return irregularities


_IRREGULARITIES = msgspec.json.Decoder(list[Irregularity])
