"""What deploy/jupyterhub/ configures is what the server and the manifests expect."""

from types import SimpleNamespace
from typing import Any

import yaml

from monitor.settings import Settings
from tests.support.paths import ROOT

DEPLOYED = ROOT / "deploy" / "jupyterhub"


def values() -> dict[str, Any]:
    hub = yaml.safe_load((DEPLOYED / "z2jh-values.yaml").read_text())["hub"]
    return dict(hub)


def littlest() -> dict[str, Any]:
    """What a Hub finds in its configuration after it has read the file."""
    configuration = SimpleNamespace(JupyterHub=SimpleNamespace())
    text = (DEPLOYED / "tljh.py").read_text()
    exec(compile(text, "tljh.py", "exec"), {"get_config": lambda: configuration})
    return dict(vars(configuration.JupyterHub))


def test_members_of_the_group_teach() -> None:
    for groups in (littlest()["load_groups"], values()["config"]["JupyterHub"]["load_groups"]):
        assert list(groups) == [Settings().jupyterhub_instructors]
        assert groups["instructors"]["users"]


def test_the_hub_lets_the_servers_pods_in() -> None:
    ((rule,),) = (each["from"] for each in values()["networkPolicy"]["ingress"])
    (pods,) = (
        each["spec"]["template"]["metadata"]["labels"]
        for each in yaml.safe_load_all((ROOT / "deploy/kubernetes/server.yaml").read_text())
        if each["kind"] == "StatefulSet"
    )
    assert rule["podSelector"]["matchLabels"] == pods
    assert "kubectl create namespace cell-monitor\n" in (ROOT / "docs/containers.md").read_text()
    assert rule["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "cell-monitor"
