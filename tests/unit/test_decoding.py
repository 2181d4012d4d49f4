"""Decoding a request's body, in either dialect."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import astuple

from monitor.errors import InvalidBody, TooLarge
from monitor.events.decoding import decode
from monitor.events.dialects import as_json
from tests.support.wire import (
    ID,
    INVALID,
    NOW,
    TIME,
    decode_fields,
    decode_items,
    decode_one,
    fields_of,
    item,
    item_without,
)


def test_both_dialects_mean_the_same() -> None:
    common = {"metadata": {"room": 7}}
    camel = item(
        eventType="cell_executed",
        sessionId="s",
        notebookPath="a/b.ipynb",
        cellId="c",
        cellIndex=2,
        cellType="code",
        code="1/0",
        executionCount=3,
        hasError=True,
        errorMessage="ZeroDivisionError: division by zero",
        result="out",
        executionDurationMs=1.5,
        **common,
    )
    snake = {
        "event_id": ID,
        "event_type": "cell_executed",
        "timestamp": TIME,
        "student_id": "花子",
        "session_id": "s",
        "notebook_path": "a/b.ipynb",
        "cell_id": "c",
        "cell_index": 2,
        "cell_type": "code",
        "code": "1/0",
        "execution_count": 3,
        "success": False,
        "error": {"name": "ZeroDivisionError", "message": "division by zero"},
        "output": "out",
        "duration_ms": 1.5,
        **common,
    }
    one, other = decode_items(camel).events[0], decode_items(snake).events[0]
    assert fields_of(one) == fields_of(other)
    assert one.failed
    assert one.duration_ms == 1.5
    mixed = decode_items(camel, snake)
    assert [fields_of(each) for each in mixed.events] == [fields_of(one)] * 2


def test_an_error_of_the_second_dialect_keeps_its_traceback() -> None:
    error = {"name": "E", "message": "m", "traceback": ["line 1"]}
    fields = {"event_type": "cell_error", "student_id": "a", "error": error}
    (event,) = decode_items(fields | {"metadata": {"traceback": 1}}).events
    assert event.failed
    assert json.loads(event.metadata) == {"traceback": ["line 1"], "metadata": {"traceback": 1}}


@pytest.mark.parametrize("dialect", ["camel", "snake"])
def test_null_means_absent(dialect: str) -> None:
    nulls: dict[str, Any] = {
        "camel": dict.fromkeys(
            ("sessionId", "cellIndex", "code", "result", "hasError", "metadata")
        ),
        "snake": dict.fromkeys(
            ("session_id", "cell_index", "output", "success", "error", "metadata")
        ),
    }[dialect]
    base = {
        "camel": item(),
        "snake": {"event_id": ID, "event_type": "help", "timestamp": TIME, "student_id": "花子"},
    }[dialect]
    expected = fields_of(decode_items(base).events[0])
    assert fields_of(decode_items(base | nulls).events[0]) == expected
    assert fields_of(decode_items(base | nulls, INVALID).events[0]) == expected


def test_unknown_fields_are_kept_in_metadata() -> None:
    event = decode_fields(kernel="python3", metadata={"room": 7})
    assert json.loads(event.metadata) == {"kernel": "python3", "room": 7}


def test_unknown_fields_named_like_metadata_lose_nothing() -> None:
    event = decode_fields(kernel="python3", metadata={"kernel": "r", "room": 7})
    assert json.loads(event.metadata) == {
        "kernel": "python3",
        "metadata": {"kernel": "r", "room": 7},
    }


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cellIndex": "two"}, "cellIndex"),
        ({"cellIndex": 2**31}, "cellIndex"),
        ({"executionCount": -(2**31) - 1}, "executionCount"),
        ({"executionCount": 10**30}, "executionCount"),
        ({"executionCount": 1.5}, "executionCount"),
        ({"hasError": "no"}, "hasError"),
        ({"sessionId": "x" * 513}, "sessionId"),
        ({"notebookPath": "あ" * 513}, "notebookPath"),
        ({"code": 1}, "code"),
        ({"code": ["a", 1]}, "code"),
        ({"teamName": ["a"]}, "teamName"),
        ({"userId": True}, "userId"),
        ({"userId": 1.5}, "userId"),
        ({"eventType": 5}, "eventType"),
        ({"eventType": ""}, "eventType"),
        ({"eventType": None}, "eventType"),
        ({"eventType": "x" * 513}, "eventType"),
        ({"userId": ""}, "userId"),
        ({"userId": None}, "userId"),
    ],
)
def test_invalid_item_is_rejected_alone_with_reason(fields: dict[str, Any], path: str) -> None:
    bad = item(**fields)
    events, (rejected,) = astuple(decode_items(item(), bad, item()))
    assert len(events) == 2
    assert (rejected.index, rejected.path) == (1, path)
    assert rejected.reason
    assert json.loads(rejected.raw) == bad


@pytest.mark.parametrize("bad", [5, "text", None, [], True])
def test_an_item_that_is_no_object_is_rejected(bad: Any) -> None:
    events, (rejected,) = astuple(decode_items(item(), bad))
    assert len(events) == 1
    assert (rejected.index, rejected.path, json.loads(rejected.raw)) == (1, "", bad)


def test_a_missing_event_type_is_named() -> None:
    _, (rejected,) = astuple(decode_items(item_without("eventType")))
    assert rejected.path == "eventType"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400])
def test_a_number_beyond_all_columns_blocks_no_other_event(number: str) -> None:
    bad = json.dumps(item(executionDurationMs=0)).replace("0}", number + "}")
    events, rejected = astuple(decode(f"[{json.dumps(item())},{bad}]".encode(), NOW, 100))
    assert len(events) + len(rejected) == 2
    assert events[0].id == uuid.UUID(ID)


def test_512_characters_and_int32_are_allowed() -> None:
    event = decode_fields(sessionId="あ" * 512, cellIndex=2**31 - 1, executionCount=-(2**31))
    assert (event.session, event.cell_index) == ("あ" * 512, 2**31 - 1)


def test_the_student_is_the_user_else_the_address_verbatim() -> None:
    assert decode_fields(userId=" Ａ ", emailAddress="a@b").student == " Ａ "
    assert decode_fields(userId="", emailAddress="A@b").student == "A@b"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\u0000b", "a\ufffdb"),
        (r"\ud800", "\ufffd"),
        (r"\uDFFF!", "\ufffd!"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\\\\ud800\\u0000", r"\\ud800\u0000"),
    ],
)
def test_only_invalid_text_is_replaced(written: str, read: str) -> None:
    body = json.dumps([item(code="CODE", other="CODE")]).replace("CODE", written).encode()
    event = decode_one(body)
    assert event.code == read
    assert json.loads(event.metadata) == {"other": read}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'"text"',
        b"[1",
        b"[] []",
        b"[{]",
        b'[{"eventType": "\xff"}]',
        b'[{"eventType": "a", "userId": "\xed\xa0\x80"}]',
        b"\xff\xfe[\x00]",
        b"\xff\xfe\x00\xd8[\x00]\x00",
        b"[\x00]\x00",
        b"[NaN",
        b"[NaN1]",
        b"[" * 1_000_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"eventType": "a", "userId": "a", "metadata": '
        + b'{"a":' * 100_000
        + b"1"
        + b"}" * 100_001
        + b"]",
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_a_body_that_is_no_json_array_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(InvalidBody) as caught:
        decode(body, NOW, 1_000)
    (detail,) = caught.value.details
    assert detail.loc == ("body",)
    assert detail.msg
    assert detail.type


def test_more_items_than_the_limit_are_refused_whatever_they_are() -> None:
    assert len(decode_items(*[item()] * 3, limit=3).events) == 3
    bodies: list[list[Any]] = [[item()] * 4, [1] * 4, [item(), 1, [], None], [{}] * 4]
    for items in bodies:
        with pytest.raises(TooLarge, match="3"):
            decode_items(*items, limit=3)


def test_five_million_items_are_refused_without_being_held() -> None:
    body = b"[" + b"1," * 5_000_000 + b"1]"
    started = time.process_time()
    with pytest.raises(TooLarge):
        decode(body, NOW, 1_000)
    assert time.process_time() - started < 2


def test_an_empty_array_has_no_events() -> None:
    assert astuple(decode(b" [ ] ", NOW, 1)) == ([], [])


def test_a_result_in_several_strings_is_joined() -> None:
    assert decode_fields(result=["a\n", "b"]).output == "a\nb"
    assert decode_fields(result=[]).output == ""


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"eventTime": "1999-01-01T00:00:00Z"},
        {"eventTime": "nonsense", "eventId": "no uuid"},
        {"userId": None, "emailAddress": "a@b", "userName": "花子", "teamName": "チーム7"},
        {"code": 'print("\\ \u2028 \x01")', "result": ["a", "b"], "hasError": True},
        {"cellIndex": 0, "executionCount": 0, "executionDurationMs": 0.1, "cellType": "raw"},
        {"metadata": {"n": 12345678901234567890123, "o": {"p": [None]}}, "unknown": 1.10},
    ],
)
def test_an_event_written_as_json_is_read_as_the_same_event(fields: dict[str, Any]) -> None:
    event = decode_fields(**fields)
    assert fields_of(decode_one(f"[{as_json(event)}]".encode())) == fields_of(event)


def test_what_the_real_extension_sends_is_read(captured: list[str]) -> None:
    events = [decode_one(body.encode()) for body in captured]
    assert {each.student for each in events} == {"hanako@example.com"}
    assert {each.team for each in events} == {"チーム7"}


def test_metadata_that_cannot_be_stored_is_left_out_and_named() -> None:
    item = '{"eventType":"x","userId":"u","metadata":{"a":%s,"room":7}}'
    good = ('"1e200000"', "1e300", "1e-300", "1" * 4000, f"0.{'0' * 16_000}1")
    tiny, long = f"0.{'0' * 17_000}1", "9" * 300_000
    bad = ("1e200000", f'"{"x" * 300_000}"', "1e-20000", f"1e-{'9' * 5000}", tiny, long)
    items = [item % value for value in (*bad, *good)]
    events, rejected = astuple(decode(f"[{','.join(items)}]".encode(), datetime.now(UTC), 20))
    assert not rejected
    for event, value in zip(events, bad, strict=False):
        assert json.loads(event.metadata) == {"room": 7, "cut": {"a": len(value)}}
    for event in events[len(bad) :]:
        assert '"a":' in event.metadata
        assert '"cut"' not in event.metadata
