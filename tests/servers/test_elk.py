"""deploy/elk, read as Filebeat and Kibana document it, with the lines of a real server."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import yaml

from tests.support.ecs import FIELDS, lines_of
from tests.support.fixtures import replica_fixture
from tests.support.paths import ROOT
from tests.support.replicas import Replica
from tests.support.tokens import SECRET

ELK = ROOT / "deploy" / "elk"
FILEBEAT = yaml.safe_load((ELK / "filebeat.yml").read_text())
OBJECTS = [json.loads(line) for line in (ELK / "kibana.ndjson").read_text().splitlines()]
SEARCHES = [each for each in OBJECTS if each["type"] == "search"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONDITION = re.compile(r"^(not )?([\w.@]+): (?:\((.+)\)|(\S+))$")
FOREIGN: list[dict[str, Any]] = [
    {"message": "another program's line"},
    {"service": {"name": "other"}, "log.level": "error", "message": "another service's line"},
]

elk_replica = replica_fixture("module", JWT_SECRET=SECRET, LOG_REQUESTS="1")


@pytest.fixture
async def lines(elk_replica: Replica) -> list[dict[str, Any]]:
    """Lines of a server of which some are about requests, and one of those is refused."""
    async with httpx.AsyncClient(base_url=elk_replica.url) as client:
        await client.get("/health/live")
        await client.get("/api/v1/classes")
    return lines_of(elk_replica.output())


def is_sent(line: Mapping[str, Any]) -> bool:
    """Whether Filebeat's processors let this (flat) line through."""
    (drop,) = [each["drop_event"]["when"] for each in processors() if "drop_event" in each]
    ((name, value),) = drop["not"]["equals"].items()
    default = re.fullmatch(r"\$\{OTEL_SERVICE_NAME:(.+)\}", value)
    assert default
    return line.get(name) == default[1]


def processors() -> list[dict[str, Any]]:
    (source,) = FILEBEAT["filebeat.inputs"]
    listed: list[dict[str, Any]] = source["processors"]
    return listed


def query_of(search: Mapping[str, Any]) -> str:
    source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    query: str = source["query"]["query"]
    return query


def finds(query: str, line: Mapping[str, Any]) -> bool:
    """Whether a query of Kibana's (KQL), conditions joined by `and`, finds this (flat) line."""
    for part in query.split(" and "):
        condition = CONDITION.match(part)
        assert condition, part
        negated, name, several, one = condition.groups()
        assert name in FIELDS, name
        wanted = several.split(" or ") if several else [one]
        if (line.get(name) in wanted) == bool(negated):
            return False
    return True


def test_the_input_reads_what_docker_writes() -> None:
    (source,) = FILEBEAT["filebeat.inputs"]
    assert source["type"] == "filestream"
    container, ndjson = source["parsers"]
    assert container == {"container": {"stream": "stderr", "format": "docker"}}
    assert ndjson["ndjson"]["target"] == ""
    assert ndjson["ndjson"]["overwrite_keys"]
    mounted = [each.split(":")[1] for each in COMPOSE["services"]["filebeat"]["volumes"]]
    for path in source["paths"]:
        assert [each for each in mounted if path.startswith(f"{each}/")]


def test_the_profile_has_what_the_files_name() -> None:
    services = {
        name: each for name, each in COMPOSE["services"].items() if each.get("profiles") == ["elk"]
    }
    assert services.keys() == {"elasticsearch", "filebeat", "kibana", "kibana-searches"}
    assert len({each["image"].rpartition(":")[2] for each in services.values()}) == 1
    (url,) = FILEBEAT["output.elasticsearch"]["hosts"]
    assert url == "${ELASTICSEARCH_URL:http://elasticsearch:9200}"
    assert services["kibana-searches"]["command"][-1].startswith("http://kibana:5601/")


async def test_only_our_lines_are_sent(lines: list[dict[str, Any]]) -> None:
    assert all(is_sent(line) for line in lines)
    assert not any(is_sent(line) for line in FOREIGN)


def test_nothing_that_a_line_has_is_dropped() -> None:
    (dropped,) = [each["drop_fields"]["fields"] for each in processors() if "drop_fields" in each]
    for name in dropped:
        assert not [field for field in FIELDS if field == name or field.startswith(f"{name}.")]


def test_the_data_view_is_of_the_index_that_is_written() -> None:
    (view,) = [each for each in OBJECTS if each["type"] == "index-pattern"]
    index = FILEBEAT["output.elasticsearch"]["index"]
    assert re.fullmatch(view["attributes"]["title"].replace("*", ".*"), index)
    assert view["attributes"]["timeFieldName"] in FIELDS
    assert json.loads(view["attributes"]["fieldFormatMap"]).keys() <= FIELDS.keys()
    for search in SEARCHES:
        (reference,) = search["references"]
        assert (reference["type"], reference["id"]) == ("index-pattern", view["id"])


async def test_saved_searches_find_lines_by_fields_that_there_are(
    lines: list[dict[str, Any]],
) -> None:
    requests, problems = SEARCHES
    refused = [line for line in lines if finds(query_of(requests), line)]
    assert refused
    for line in refused:
        assert line["http.response.status_code"] == 401
        assert set(requests["attributes"]["columns"]) <= line.keys()
    problem = {**refused[0], "log.logger": "monitor.pipeline.spool.drain"}
    assert finds(query_of(problems), problem)
    assert not finds(query_of(problems), refused[0])
    assert set(problems["attributes"]["columns"]) <= FIELDS.keys()
