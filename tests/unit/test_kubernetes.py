"""The manifests of deploy/kubernetes/, by Kubernetes' own schemas and by what the server needs."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from monitor.settings import Settings, from_environment
from tests.support.paths import ROOT

VERSIONS = ("1.30", "1.34")  # of Kubernetes
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROBES = {
    "startupProbe": "/health/live",
    "livenessProbe": "/health/live",
    "readinessProbe": "/health/ready",
}
COMMANDS = (ROOT / "docs" / "containers.md").read_text()


def objects() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each for each in objects() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pods() -> list[dict[str, Any]]:
    """What pods are made of."""
    specifications = [each.get("spec", {}) for each in objects()]
    return [each["template"]["spec"] for each in specifications if "template" in each]


def server() -> dict[str, Any]:
    """The server's container."""
    (container,) = named("StatefulSet", "cell-monitor")["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_each_field(version: str) -> None:
    assert len(list(objects())) == 10
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_the_settings_are_the_servers() -> None:
    values = dict(named("ConfigMap", "cell-monitor-settings")["data"])
    values |= {each["name"]: each["value"] for each in server()["env"]}
    secrets = re.findall(r"--from-literal=(\w+)=", COMMANDS)
    assert set(secrets) == {"POSTGRES_PASSWORD", "JWT_SECRET", "METRICS_TOKEN"}
    values |= dict.fromkeys(secrets, "s" * 32)
    assert values.keys() <= {name.upper() for name in Settings.__struct_fields__}
    settings = from_environment({"HOST": "0.0.0.0", **values})
    assert settings.has_credentials
    assert settings.redis_host == named("Service", "cell-monitor-redis")["metadata"]["name"]
    (claim,) = named("StatefulSet", "cell-monitor")["spec"]["volumeClaimTemplates"]
    mounts = {each["name"]: each["mountPath"] for each in server()["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == str(settings.data_dir)
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert settings.spool_max_bytes < 2 * 1024**3


def test_the_secret_is_made_by_the_documented_command() -> None:
    references = [each["secretRef"] for each in server()["envFrom"] if "secretRef" in each]
    (needed,) = (each for each in references if not each.get("optional"))
    assert f"create secret generic {needed['name']} " in COMMANDS


def test_pods_run_as_the_images_user_with_nothing_to_gain() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    spec = named("StatefulSet", "cell-monitor")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsUser"] == int(user)
    assert len(pods()) == 2
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # POSTGRES_PORT would be tcp://…
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_a_pod_may_finish_what_it_took() -> None:
    spec = named("StatefulSet", "cell-monitor")["spec"]["template"]["spec"]
    (seconds,) = server()["lifecycle"]["preStop"]["exec"]["command"][1:]
    left = spec["terminationGracePeriodSeconds"] - int(seconds)
    assert left > 5 * Settings().stop_timeout


def test_a_pod_is_restarted_only_when_it_is_not_alive() -> None:
    assert {name: server()[name]["httpGet"]["path"] for name in PROBES} == PROBES
    assert PROBES["livenessProbe"] in DOCKERFILE
    balancer = (ROOT / "deploy" / "haproxy.cfg").read_text()
    assert f"GET {PROBES['readinessProbe']}\n" in balancer


def test_labels_select_the_pods() -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in objects()
        if "template" in each.get("spec", {})
    }
    for each in objects():
        if each["kind"] == "Service":
            assert each["spec"]["selector"] in labels.values()
        elif each["kind"] in ("StatefulSet", "Deployment", "PodDisruptionBudget"):
            name = each["metadata"]["name"]
            assert each["spec"]["selector"]["matchLabels"] == labels[name]
