"""What clients write in another way than the contract, where its meaning is clear."""

import codecs
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import astuple

from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, Dialect, decode
from monitor.events.escapes import repair
from monitor.events.event import Event
from monitor.events.json_text import without_nan
from monitor.events.outputs import MAX_PICTURES, MAX_PICTURES_LENGTH
from tests.support.wire import ID, NOW, decode_fields, decode_items, decode_one, item, legacy_cell

AT = datetime(2026, 7, 23, 1, 2, 3, tzinfo=UTC)
SECONDS = int(AT.timestamp())
PNG = b64encode(b"\x89PNG" + bytes(range(200))).decode()


def metadata(event: Event) -> Any:
    return json.loads(event.metadata)


@pytest.mark.parametrize("word", ["NaN", "-NaN", "Infinity", "+Infinity", "-Infinity"])
def test_nan_is_null_and_no_other_item_is_touched(word: str) -> None:
    template = (
        '[{"eventType":"x","userId":"a","executionDurationMs":%s,"metadata":{"v":[1,%s,{"w": %s}]},'
        '"result":[{"output_type":"display_data","data":{"a/b":%s}}],"code":"%s [NaN] \\\\"},'
        '{"eventType":"x","userId":"b","code":"NaN, \\"Infinity\\" ,NaN"},'
        '{"eventType":"x","userId":"c","odd":%s}]'
    )
    events, rejected = astuple(decode(template.replace("%s", word).encode(), NOW, 3))
    assert not rejected
    first, second, third = events
    assert first.duration_ms is None
    assert metadata(first) == {"v": [1, None, {"w": None}]}
    assert first.code == f"{word} [NaN] \\"
    assert second.code == 'NaN, "Infinity" ,NaN'
    assert third.metadata == "{}"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (b"[NaN]", b"[null]"),
        (b"NaN", b"null"),
        (b"[ -Infinity ,NaN]", b"[ null ,null]"),
        (b'{"NaN":NaN}', b'{"NaN":null}'),
        (rb'["\\",NaN,"\"NaN",NaN]', rb'["\\",null,"\"NaN",null]'),
        (rb'["\\\"",NaN]', rb'["\\\"",null]'),
        (b"[NaNs, xNaN, NaN1, 1NaN]", b"[NaNs, xNaN, NaN1, 1NaN]"),
        (b'["NaN', b'["NaN'),
    ],
)
def test_only_nan_outside_of_strings_is_replaced(text: bytes, plain: bytes) -> None:
    assert without_nan(text) == plain


def test_a_megabyte_of_nan_is_replaced_in_linear_time() -> None:
    started = datetime.now(UTC)
    assert b"NaN" not in without_nan(b"[" + b"NaN," * 300_000 + b"NaN]")
    assert without_nan(b'["' + b"NaN," * 300_000 + b'"]').count(b"NaN") == 300_000
    assert (datetime.now(UTC) - started).total_seconds() < 3


@pytest.mark.parametrize(
    "time",
    [
        SECONDS,
        float(SECONDS),
        SECONDS * 1000,
        SECONDS * 1000.0,
        str(SECONDS * 1000),
        f"{SECONDS}000.0",
        SECONDS * 1_000_000,
        SECONDS * 1_000_000_000,
        "2026-07-23T01:02:03",
        "20260723T010203Z",
    ],
)
@pytest.mark.parametrize("dialects", [EVENT_DIALECTS, (CELL_MONITOR,)])
def test_a_time_may_be_a_number(time: float | str, dialects: tuple[Dialect, ...]) -> None:
    fields = legacy_cell(timestamp=time) if dialects == (CELL_MONITOR,) else item(eventTime=time)
    (event,) = decode(json.dumps([fields]).encode(), NOW, 1, dialects).events
    assert (event.time, event.untimed) == (AT, False)
    (again,) = decode(json.dumps([fields]).encode(), NOW, 1, dialects).events
    assert again.id == event.id


@pytest.mark.parametrize("time", [True, [2026, 7], {"s": 1}, "", "soon", 10**30, "-", "1e400"])
def test_what_is_no_time_is_kept(time: Any) -> None:
    event = decode_fields(eventTime=time)
    assert (event.time, event.untimed) == (NOW, True)
    assert metadata(event) == ({"eventTime": time} if time != "" else {})


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [
        ({"cellIndex": "3", "executionCount": 4.0}, {"cell_index": 3, "execution_count": 4}),
        ({"cellIndex": " 3 ", "executionCount": "4.0"}, {"cell_index": 3, "execution_count": 4}),
        ({"cellIndex": "", "executionCount": "-1"}, {"cell_index": None, "execution_count": -1}),
        ({"hasError": "true"}, {"failed": True}),
        ({"hasError": 1}, {"failed": True}),
        ({"hasError": "False"}, {"failed": False}),
        ({"hasError": 0}, {"failed": False}),
        ({"hasError": ""}, {"failed": False}),
        ({"userId": 20260001}, {"student": "20260001"}),
        ({"userId": "a", "teamName": 7, "cellId": 12}, {"team": "7", "cell": "12"}),
        ({"executionDurationMs": "12.5"}, {"duration_ms": 12.5}),
        ({"code": ["a = 1\n", "b = 2"]}, {"code": "a = 1\nb = 2"}),
        ({"code": ["a = 1", "", "b = 2"]}, {"code": "a = 1\n\nb = 2"}),
        ({"code": []}, {"code": ""}),
        ({"result": ["a\n", "b"], "cellIndex": "1"}, {"output": "a\nb", "cell_index": 1}),
        ({"result": ["a", 1, None, {"text": 5}]}, {"output": "a1null5"}),
        ({"result": 42}, {"output": "42"}),
        ({"result": {"answer": 42}}, {"output": '{"answer": 42}'}),
        ({"result": [[1], True]}, {"output": "[1]true"}),
        ({"errorMessage": {"ename": "E", "evalue": "v"}}, {"error": "E: v"}),
        ({"errorMessage": {"name": "E", "message": 5}}, {"error": "E: 5"}),
        ({"errorMessage": ["line 1", "E: v"]}, {"error": "line 1\nE: v"}),
        ({"errorMessage": 5}, {"error": "5"}),
    ],
)
def test_a_value_of_another_type_with_a_clear_meaning_is_read(
    fields: dict[str, Any], attributes: dict[str, Any]
) -> None:
    event = decode_fields(**fields)
    assert {name: getattr(event, name) for name in attributes} == attributes
    assert event.metadata == "{}"


@pytest.mark.parametrize("value", [[], "text", 5, True, [{"a": 1}], ""])
def test_metadata_that_is_no_object_is_kept(value: Any) -> None:
    assert metadata(decode_fields(metadata=value)) == {"metadata": value}
    both = metadata(decode_fields(metadata=value, kernel="r"))
    assert both == {"metadata": value, "kernel": "r"}


def test_a_duration_never_rejects_an_event() -> None:
    values: list[Any] = ["fast", [], True, {"ms": 1}]
    for value in values:
        event = decode_fields(executionDurationMs=value)
        assert event.duration_ms is None
        assert metadata(event) == {"executionDurationMs": value}
    body = json.dumps([item(executionDurationMs=7)]).replace("7}", "1e999}").encode()
    event = decode_one(body)
    assert event.duration_ms is None
    assert metadata(event) == {"cut": {"executionDurationMs": 5}}


def test_an_id_of_any_form_identifies_a_retry() -> None:
    assert decode_fields(eventId=5).id == decode_fields(eventId="5").id != decode_fields().id
    odd = decode_fields(eventId={"n": 1})
    assert odd.id == decode_fields(eventId={"n": 1}).id != decode_fields(eventId={"n": 2}).id
    assert metadata(odd) == {"eventId": {"n": 1}}


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32"],
)  # fmt: skip
def test_a_byte_order_mark_is_read(encoding: str) -> None:
    body = json.dumps([item(code="花子")], ensure_ascii=False)
    assert decode_one(body.encode(encoding)).code == "花子"
    big = codecs.BOM_UTF16_BE + body.encode("utf-16-be")
    assert decode_one(big).code == "花子"


OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
    {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}},
    {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "<Figure>"}},
    {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["T", "K"]},
]


@pytest.mark.parametrize("dialect", ["camel", "snake", "cell-monitor"])
def test_outputs_of_nbformat_become_text_error_and_pictures(dialect: str) -> None:
    snake = {"event_type": "cell_executed", "student_id": "a", "timestamp": "2026-07-23T01:02:03Z"}
    fields, dialects = {
        "camel": (item(result=OUTPUTS), EVENT_DIALECTS),
        "snake": (snake | {"output": OUTPUTS}, EVENT_DIALECTS),
        "cell-monitor": (legacy_cell(outputs=OUTPUTS, metadata=None), (CELL_MONITOR,)),
    }[dialect]
    body = json.dumps([fields]).encode()
    (event,) = decode(body, NOW, 1, dialects).events
    assert event.output == "a\nb\n2\n<Figure>\nT\nK"
    assert (event.failed, event.error) == (True, "KeyError: 'x'")
    assert metadata(event) == {"pictures": [{"mimeType": "image/png", "bytes": 204, "data": PNG}]}
    assert decode(body, NOW, 1, dialects).events[0].id == event.id


def test_one_output_or_a_mixed_list_is_read() -> None:
    assert decode_fields(result=OUTPUTS[1]).output == "2"
    mixed = ["before\n", OUTPUTS[1], 5, {"output_type": "stream", "text": None}]
    assert decode_fields(result=mixed).output == "before\n25"


def test_what_the_client_says_of_an_error_stands_above_its_outputs() -> None:
    event = decode_fields(result=OUTPUTS, hasError=False, errorMessage="mine")
    assert (event.failed, event.error) == (False, "mine")


def test_pictures_are_bounded() -> None:
    svg = {"data": {"image/svg+xml": ["<svg>", "花</svg>"]}, "output_type": "display_data"}
    large = b64encode(b"x" * MAX_PICTURES_LENGTH).decode()
    jpeg = {"data": {"image/jpeg": large}, "output_type": "display_data"}
    broken = {"data": {"image/png": "<no base64>"}, "output_type": "display_data"}
    event = decode_fields(result=[svg, jpeg, broken, *[svg] * 50], metadata={"room": 7})
    kept = metadata(event)["pictures"]
    text = b64encode("<svg>花</svg>".encode()).decode()
    assert kept[:3] == [
        {"mimeType": "image/svg+xml", "bytes": 14, "data": text},
        {"mimeType": "image/jpeg", "bytes": MAX_PICTURES_LENGTH},
        {"mimeType": "image/png", "bytes": 11},
    ]
    assert len(kept) == MAX_PICTURES
    half = b64encode(b"x" * (MAX_PICTURES_LENGTH // 2)).decode()
    event = decode_fields(
        result={"data": {"image/png": half}, "output_type": "display_data"}, metadata={"room": 7}
    )
    assert metadata(event)["room"] == 7
    assert metadata(event)["pictures"][0]["data"] == half


def test_an_odd_item_leaves_the_others_as_they_are() -> None:
    events, rejected = astuple(
        decode_items(item(), item(metadata=[], cellIndex="x"), item(code=["a"]), 5)
    )
    assert [str(event.id) for event in events] == [ID, ID]
    assert [(each.index, each.path) for each in rejected] == [(1, "cellIndex"), (3, "")]


@pytest.mark.parametrize("shift", range(14))
@pytest.mark.parametrize(
    ("unit", "plain"),
    [
        (rb"\ud83d\ude00", rb"\ud83d\ude00"),
        (rb"\ud83d\ud83d\ude00", rb"\ufffd\ud83d\ude00"),
        (rb"\\ud83d", rb"\\ud83d"),
        (rb"\\\u0000", rb"\\\ufffd"),
        (rb"\u3042\udc00\n", rb"\u3042\ufffd\n"),
    ],
)
def test_a_large_body_is_repaired_in_slices(shift: int, unit: bytes, plain: bytes) -> None:
    count = 2 * 1024 * 1024 // len(unit)
    before = b"x" * shift
    assert repair(before + unit * count) == before + plain * count
