"""What is odd about the metadata of a notebook, and of a cell."""

import msgspec

from monitor.lms.findings import Findings, quoted
from monitor.lms.notebook_json import ABSENT, is_object, is_string, is_strings


class _Metadata(msgspec.Struct):
    kernelspec: msgspec.Raw = ABSENT
    language_info: msgspec.Raw = ABSENT


class _Named(msgspec.Struct):
    name: msgspec.Raw = ABSENT
    display_name: msgspec.Raw = ABSENT


class _CellMetadata(msgspec.Struct):
    jupyter: msgspec.Raw = ABSENT
    execution: msgspec.Raw = ABSENT
    tags: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT


_SHAPES = {
    "jupyter": (is_object, "an object"),
    "execution": (is_object, "an object"),
    "tags": (is_strings, "a list of texts"),
    "name": (is_string, "text"),
}


def check_metadata(raw: msgspec.Raw, findings: Findings) -> None:
    """Adds what is odd about the notebook's."""
    if not is_object(raw):
        findings.add("Has no metadata" if raw is ABSENT else "The metadata isn't an object")
        return
    metadata = _METADATA.decode(raw)
    if not _has_names(metadata.kernelspec, "name", "display_name"):
        findings.add("The metadata's kernelspec has no name or no display_name")
    if not _has_names(metadata.language_info, "name"):
        findings.add("The metadata's language_info has no name")


def check_cell_metadata(raw: msgspec.Raw, findings: Findings) -> None:
    """Adds what is odd about the cell's."""
    if not is_object(raw):
        problem = "Has no metadata" if raw is ABSENT else "The metadata isn't an object"
        findings.add_to_cell(problem)
        return
    metadata = _CELL_METADATA.decode(raw)
    for name, (fits, shape) in _SHAPES.items():
        value = getattr(metadata, name)
        if value is not ABSENT and not fits(value):
            findings.add_to_cell(f"The metadata has {quoted(name)} that isn't {shape}")


def _has_names(raw: msgspec.Raw, *names: str) -> bool:
    if raw is ABSENT:
        return True
    if not is_object(raw):
        return False
    named = _NAMED.decode(raw)
    return all(is_string(getattr(named, name)) for name in names)


_METADATA = msgspec.json.Decoder(_Metadata)
_NAMED = msgspec.json.Decoder(_Named)
_CELL_METADATA = msgspec.json.Decoder(_CellMetadata)
