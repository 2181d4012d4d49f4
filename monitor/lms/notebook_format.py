"""A notebook that is handed in: looked at, never changed."""

import hashlib
import warnings
from functools import cache
from types import ModuleType
from typing import Annotated, NamedTuple

import msgspec

from monitor.database.resource import Invalid
from monitor.events.decoding import repair

_FIELD = "notebook_content"


class Output(msgspec.Struct):
    output_type: str


class Cell(msgspec.Struct):
    cell_type: str
    id: str = ""
    outputs: list[Output] = []


class Notebook(msgspec.Struct):
    """The outline of a notebook, which nbformat takes for granted; the rest it looks at itself."""

    nbformat: Annotated[int, msgspec.Meta(ge=4, le=4)]
    nbformat_minor: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    cells: list[Cell]


class Evidence(NamedTuple):
    """The text as it was handed in, and its SHA-256 in hex."""

    text: str
    sha256: str


def examine(content: bytes) -> Evidence:
    """Takes long for a large notebook: to be called in a thread. Raises Invalid."""
    try:
        repaired = repair(content)
        _OUTLINE.decode(repaired)
        _nbformat().validate(msgspec.json.decode(repaired))
    except msgspec.MsgspecError as error:
        raise Invalid(_FIELD, f"Not a notebook: {error}") from None
    except RecursionError:
        raise Invalid(_FIELD, "Not a notebook: nested too deep") from None
    except _nbformat().ValidationError as error:
        raise Invalid(_FIELD, f"Not a notebook: {error.message}") from None
    return Evidence(content.decode(), hashlib.sha256(content).hexdigest())


@cache
def _nbformat() -> ModuleType:
    """Imported when it is first needed: a replica without it is 25 MB smaller."""
    import nbformat
    from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

    for warning in (DuplicateCellId, MissingIDFieldWarning):  # Jupyter opens these without a word
        warnings.simplefilter("ignore", warning)
    return nbformat


_OUTLINE = msgspec.json.Decoder(Notebook)
