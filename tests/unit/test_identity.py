"""The identity of an event across retries: its id and its time."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import astuple

from monitor.events.decoding import decode
from tests.support.wire import (
    INVALID,
    NOW,
    decode_fields,
    decode_items,
    decode_one,
    item,
    item_without,
)


def test_an_id_that_is_no_uuid_becomes_the_same_one_each_time() -> None:
    ids = {decode_fields(eventId="run-1").id, decode_fields(eventId="run-1", code="other").id}
    assert len(ids) == 1
    assert ids.pop().version == 5
    assert decode_fields(eventId="run-1").id != decode_fields(eventId="run-2").id


def test_derived_id_is_stable_for_timed_item() -> None:
    fields = item_without("eventId", code="1 + 1")
    shuffled = dict(reversed(fields.items()))
    ids = {
        decode_one(json.dumps([fields]).encode()).id,
        decode_one(json.dumps([shuffled], indent=4).encode()).id,
        decode_one(json.dumps([fields | {"cellId": None, "eventId": ""}]).encode()).id,
        decode_items(INVALID, fields).events[0].id,
    }
    assert len(ids) == 1
    assert ids.pop().version == 5
    assert decode_items(fields | {"code": "1 + 2"}).events[0].id not in ids


@pytest.mark.parametrize("time", ["2026-07-23T01:02:03", "2026-07-23T10:02:03+09:00"])
def test_derived_id_ignores_other_items(time: str) -> None:
    fields = item_without("eventId", eventTime=time)
    assert decode_items(fields).events[0].id == decode_items(INVALID, fields).events[0].id


def test_derived_id_ignores_metadata_layout() -> None:
    fields = item_without("eventId", metadata={"a": 1, "b": {"c": 2}}, other=1)
    ids = {decode_one(json.dumps([fields], indent=indent).encode()).id for indent in (None, 2)}
    assert len(ids) == 1


def test_an_item_with_neither_id_nor_time_gets_a_random_id() -> None:
    fields = {"eventType": "help", "userId": "a"}
    one, other = decode_items(fields, fields).events
    assert one.id != other.id
    assert one.id.version == 4


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-23T01:02:03",
        "2026-07-23 01:02:03",
        "2026-07-23T01:02:03Z",
        "2026-07-23T01:02:03.000000+00:00",
        "2026-07-23T10:02:03+09:00",
        "20260723T010203Z",
        "2026-W30-4T01:02:03",
        "20260723T100203+0900",
    ],
)
def test_every_time_format_is_parsed_and_naive_is_utc(text: str) -> None:
    assert decode_fields(eventTime=text).time == datetime(2026, 7, 23, 1, 2, 3, tzinfo=UTC)
    assert (
        decode_items(item(eventTime=text), INVALID).events[0].time
        == decode_fields(eventTime=text).time
    )


def test_a_date_is_its_midnight() -> None:
    assert decode_fields(eventTime="2026-07-22").time == datetime(2026, 7, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-07-23T25:00:00Z", "yesterday", "99999-01-01T00:00:00Z"])
def test_what_is_no_time_is_left_to_the_first_receipt_and_kept(text: str) -> None:
    event = decode_fields(eventTime=text, metadata={"eventTime": "its own"})
    assert event.untimed
    assert event.time == NOW
    assert json.loads(event.metadata) == {"metadata": {"eventTime": "its own"}, "eventTime": text}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_ends_of_the_calendar_is_a_time(text: str) -> None:
    event = decode_fields(eventTime=text)
    assert not event.untimed
    assert event.time.isoformat()[:19] == text[:19]


def test_resent_absurd_time_without_id_is_the_same_event() -> None:
    body = json.dumps([item_without("eventId", eventTime="1999-01-01T00:00:00Z")]).encode()
    (first,), _ = astuple(decode(body, NOW, 1))
    (again,), _ = astuple(decode(body, NOW + timedelta(seconds=1), 1))
    assert first.id == again.id


def test_long_second_fraction_parses_the_same_in_any_batch() -> None:
    item = '{"eventType":"x","userId":"u","eventId":"%s","eventTime":"%s"}'
    timed = item % (uuid.uuid4(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.1234567Z"))
    alone = decode(f"[{timed}]".encode(), datetime.now(UTC), 10).events[0]
    beside = decode(f'[{timed},{{"eventType":"x"}}]'.encode(), datetime.now(UTC), 10).events[0]
    assert alone.time == beside.time
