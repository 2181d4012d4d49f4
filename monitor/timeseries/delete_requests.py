"""What InfluxDB is asked to delete a point with: a statement of InfluxQL, or a body for 2.x."""

from datetime import UTC, datetime

from monitor.timeseries.line_protocol import MEASUREMENT, PointKey, stored_tag

_DELETE = "DELETE FROM {} WHERE {}"
_INFLUXQL_ESCAPES = str.maketrans({"'": r"\'", "\\": r"\\"})
_PREDICATE_ESCAPES = str.maketrans({'"': r"\"", "\\": r"\\"})


def statement(point: PointKey) -> str:
    """For a 1.x server."""
    tests = [f"\"{tag}\" = '{value.translate(_INFLUXQL_ESCAPES)}'" for tag, value in _tags(point)]
    return _DELETE.format(MEASUREMENT, " AND ".join([*tests, f"time = {point.time}"]))


def body(point: PointKey) -> dict[str, str]:
    """For a 2.x server: both ends of the span are included."""
    tests = [f'{tag}="{value.translate(_PREDICATE_ESCAPES)}"' for tag, value in _tags(point)]
    seconds, nanoseconds = divmod(point.time, 1_000_000_000)
    second = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    time = f"{second}.{nanoseconds:09d}Z"
    predicate = " AND ".join([f'_measurement="{MEASUREMENT}"', *tests])
    return {"start": time, "stop": time, "predicate": predicate}


def _tags(point: PointKey) -> list[tuple[str, str]]:
    tags = {"userId": stored_tag(point.student), "event": stored_tag(point.event_type)}
    return [(tag, value) for tag, value in tags.items() if value]
