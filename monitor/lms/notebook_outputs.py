"""What is odd about an output of a code cell in format 4."""

import msgspec

from monitor.lms.findings import Findings, quoted
from monitor.lms.notebook_json import (
    ABSENT,
    Objects,
    is_object,
    is_string,
    is_strings,
    is_text,
    string,
    whole_number,
)


class _Output(msgspec.Struct):
    output_type: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    execution_count: msgspec.Raw = ABSENT
    ename: msgspec.Raw = ABSENT
    evalue: msgspec.Raw = ABSENT
    traceback: msgspec.Raw = ABSENT


class _Data(msgspec.Struct):
    """Texts by media type; others are skipped."""

    plain: msgspec.Raw = msgspec.field(default=ABSENT, name="text/plain")
    html: msgspec.Raw = msgspec.field(default=ABSENT, name="text/html")
    markdown: msgspec.Raw = msgspec.field(default=ABSENT, name="text/markdown")
    latex: msgspec.Raw = msgspec.field(default=ABSENT, name="text/latex")
    png: msgspec.Raw = msgspec.field(default=ABSENT, name="image/png")
    jpeg: msgspec.Raw = msgspec.field(default=ABSENT, name="image/jpeg")
    gif: msgspec.Raw = msgspec.field(default=ABSENT, name="image/gif")
    svg: msgspec.Raw = msgspec.field(default=ABSENT, name="image/svg+xml")
    javascript: msgspec.Raw = msgspec.field(default=ABSENT, name="application/javascript")


_FIELDS = {  # of each type; those that Jupyter writes always
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
_SHAPES = {
    "name": (is_string, "text"),
    "text": (is_text, "text"),
    "data": (is_object, "an object"),
    "metadata": (is_object, "an object"),
    "execution_count": (lambda raw: is_count(raw), "a whole number or null"),
    "ename": (is_string, "text"),
    "evalue": (is_string, "text"),
    "traceback": (is_strings, "a list of texts"),
}


def is_count(raw: msgspec.Raw) -> bool:
    """Whether it is the number of an execution, or null: never run."""
    return bytes(memoryview(raw)[:5]) == b"null" or whole_number(raw) is not None


def check_output(raw: msgspec.Raw, findings: Findings, *, extra: bool) -> None:
    """Adds what is odd about it; with `extra`, additional keys are odd.

    Raises msgspec.ValidationError if it is no object.
    """
    output, unknown = _OUTPUTS.decode(raw)
    kind = string(output.output_type)
    if kind not in _FIELDS:
        named = "without a type" if kind is None else f"of the type {quoted(kind)}"
        findings.add_to_cell(f"An output is {named}, which Jupyter can't show")
        return
    label = _LABELS[kind]
    if unknown is not None and extra:
        findings.add_to_cell(f"{label} has {quoted(unknown)}, which the format hasn't")
    fields = _FIELDS[kind]
    for name, (fits, shape) in _SHAPES.items():
        value = getattr(output, name)
        if name not in fields:
            if value is not ABSENT and extra:
                findings.add_to_cell(f"{label} has {quoted(name)}, which the format hasn't")
        elif value is ABSENT:
            findings.add_to_cell(f"{label} has no {quoted(name)}")
        elif not fits(value):
            findings.add_to_cell(f"{label} has {quoted(name)} that isn't {shape}")
    if is_object(output.data):
        _check_data(output.data, findings, label)


def _check_data(raw: msgspec.Raw, findings: Findings, label: str) -> None:
    data = _DATA.decode(raw)
    for field in _DATA_FIELDS:
        value = getattr(data, field.name)
        if value is not ABSENT and not is_text(value):
            name = quoted(field.encode_name)
            findings.add_to_cell(f"{label} has {name} that isn't text")


_LABELS = {
    "stream": "A stream output",
    "display_data": "A display output",
    "execute_result": "A result output",
    "error": "An error output",
}
_OUTPUTS = Objects(_Output)
_DATA = msgspec.json.Decoder(_Data)
_DATA_FIELDS = msgspec.structs.fields(_Data)
