"""One event that is larger than a request of several may be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import TooLarge
from monitor.events.cutting import closed
from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, decode
from monitor.events.event import Event
from tests.support.wire import NOW, item, legacy_cell

LIMIT = 3 * 1024 * 1024
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def decoded(fields: Any, *, ascii_only: bool = True, **options: Any) -> Event:
    body = json.dumps([fields], ensure_ascii=ascii_only).encode()
    assert len(body) > LIMIT
    items = decode(body, NOW, 10, max_bytes=LIMIT, **options)
    assert items.rejected == []
    (event,) = items.events
    again = decode(body, NOW, 10, max_bytes=LIMIT, **options)
    assert again.events[0].id == event.id
    return event


@given(JSON, st.booleans(), st.data())
def test_every_start_of_a_value_is_closed(
    value: Any, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    start = text[: data.draw(st.integers(0, len(text)))]
    closed_value = json.loads(closed(start).decode("utf-8", "surrogatepass"))
    if isinstance(value, str) and closed_value is not None:
        assert value.encode("utf-16", "surrogatepass").startswith(
            closed_value.encode("utf-16", "surrogatepass")
        )


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("unit", ["a line\n", "花", '"', "\\", "😀", "\0"])
def test_the_output_is_cut_and_the_rest_kept(unit: str, ascii_only: bool) -> None:
    text = unit * (5 * 1024 * 1024 // len(unit))
    fields = item(result=text, code="1 + 1", kernel="python3", metadata={"room": 7})
    event = decoded(fields, ascii_only=ascii_only)
    assert (event.code, event.type) == ("1 + 1", "help")
    assert event.output
    assert text.replace("\0", "\ufffd").startswith(event.output.removesuffix("\ufffd"))
    metadata = json.loads(event.metadata)
    size = len(json.dumps(text, ensure_ascii=ascii_only).encode())
    assert metadata == {"room": 7, "kernel": "python3", "cut": {"result": size}}


def test_lines_and_outputs_are_cut_too() -> None:
    lines = ["a line\n"] * 1_000_000
    event = decoded(item(result=lines))
    assert event.output
    assert len(event.output) > 1024 * 1024
    outputs = [{"output_type": "stream", "text": lines}, {"output_type": "error", "ename": "E"}]
    event = decoded(item(result=outputs))
    assert event.output
    assert event.output.startswith("a line\na line\n")
    event = decoded(legacy_cell(outputs=outputs), dialects=(CELL_MONITOR,))
    assert event.output
    assert (event.output[:7], event.code) == ("a line\n", "1 + 1")


@pytest.mark.parametrize("field", ["code", "errorMessage", "metadata", "outputs", "kernel"])
def test_no_other_field_loses_the_event(field: str) -> None:
    large = "x" * (LIMIT + 1)
    value = {"a": large} if field == "metadata" else large
    event = decoded(item(**{field: value}))
    (name,) = cut = json.loads(event.metadata)["cut"]
    assert name == ("others" if field in ("outputs", "kernel") else field)
    assert cut[name] > LIMIT


def test_several_events_or_none_are_too_large() -> None:
    spaces = " " * LIMIT
    for text in (
        f"[{spaces}]",
        f"{{{spaces}}}",
        f"[{{}},{spaces}{{}}]",
        f"[5{spaces}]",
        spaces + "[",
    ):
        with pytest.raises(TooLarge, match=str(LIMIT)):
            decode(text.encode(), NOW, 10, max_bytes=LIMIT)


def test_a_large_event_may_have_a_byte_order_mark_and_nan() -> None:
    body = json.dumps([item(code="a", result="NaN" * LIMIT, executionDurationMs=float("nan"))])
    for encoding in ("utf-8-sig", "utf-16"):
        payload = decode(body.encode(encoding), NOW, 10, EVENT_DIALECTS, max_bytes=LIMIT)
        (event,) = payload.events
        assert (event.code, event.duration_ms) == ("a", None)
