"""What deploy/jupyterhub/ configures is what the server and the manifests expect."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import kubernetes_validate
import pluggy
import pytest
import yaml
from traitlets.config import Config

from monitor.settings import Settings, from_environment
from tests.support.paths import ROOT

DEPLOYED = ROOT / "deploy" / "jupyterhub"
PLUGIN = ROOT / "deploy" / "tljh"


def values() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOYED / "z2jh-values.yaml").read_text()))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin for The Littlest JupyterHub, with the settings in deploy/."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    module = importlib.import_module("tljh_cell_monitor")
    monkeypatch.setattr(module, "TLJH", tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / module.FILE).write_text((PLUGIN / "cell-monitor.toml").read_text("utf-8"))
    return module


def asked(plugin: ModuleType) -> Config:
    """What a Hub finds in its configuration after it has asked the plugin."""
    hub = pluggy.PluginManager("tljh")
    hub.register(plugin)
    c = Config()
    c.JupyterHub.services = [{"name": "cull-idle"}]
    hub.hook.tljh_custom_jupyterhub_config(c=c)
    return c


def test_members_of_the_group_teach(plugin: ModuleType) -> None:
    littlest = asked(plugin).JupyterHub.load_groups.to_dict()["update"]
    for groups in (littlest, values()["hub"]["config"]["JupyterHub"]["load_groups"]):
        assert list(groups) == [Settings().jupyterhub_instructors]
        assert groups["instructors"]["users"] == ["sensei"]


def test_the_plugin_adds_the_service_and_its_settings(plugin: ModuleType) -> None:
    other, service = asked(plugin).JupyterHub.services
    assert other == {"name": "cull-idle"}
    assert service["name"] == "cell-monitor"
    names = {name.upper() for name in Settings.__struct_fields__}
    assert set(service["environment"]) <= names
    assert service["environment"]["REJECTED_MAX_DAYS"] == "90"


def test_without_settings_the_plugin_adds_the_service_only(plugin: ModuleType) -> None:
    (plugin.TLJH / plugin.FILE).unlink()
    assert asked(plugin).JupyterHub.load_groups.to_dict()["update"] == {
        "instructors": {"users": []}
    }
    assert plugin.tljh_extra_user_pip_packages() == []
    plugin.tljh_post_install()
    assert not (plugin.TLJH / plugin.OVERRIDES).exists()


def test_students_notebooks_get_the_extension_and_its_settings(plugin: ModuleType) -> None:
    path = plugin.TLJH / plugin.FILE
    text = path.read_text("utf-8").replace("user_packages = []", 'user_packages = ["monitor"]')
    path.write_text(text + '"monitor:plugin" = { url = "https://hub/花" }\n')
    overrides = plugin.TLJH / plugin.OVERRIDES
    overrides.parent.mkdir(parents=True)
    overrides.write_text('{"other:plugin": {"kept": true}, "monitor:plugin": {"url": "old"}}')
    assert plugin.tljh_extra_user_pip_packages() == ["monitor"]
    plugin.tljh_post_install()
    assert json.loads(overrides.read_text("utf-8")) == {
        "other:plugin": {"kept": True},
        "monitor:plugin": {"url": "https://hub/花"},
    }


def test_the_values_put_the_extensions_settings_where_jupyterlab_reads_them(
    plugin: ModuleType,
) -> None:
    (file,) = values()["singleuser"]["extraFiles"].values()
    assert file["mountPath"].endswith(str(plugin.OVERRIDES).removeprefix("user"))
    assert isinstance(file["data"], dict)


def test_the_hub_finds_the_installed_plugin(tmp_path: Path) -> None:
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--target"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(tmp_path), str(PLUGIN)], check=True
    )
    program = (
        "import pluggy; hub = pluggy.PluginManager('tljh'); hub.load_setuptools_entrypoints('tljh')"
        "; print(hub.hook.tljh_extra_user_pip_packages())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[[]]\n"


def of_the_hub() -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that make the manifests' server a service, and who may reach it then."""
    settings, policy = yaml.safe_load_all((DEPLOYED / "kubernetes.yaml").read_text())
    return settings, policy


def manifests(name: str) -> dict[str, dict[str, Any]]:
    """The objects of a file of deploy/kubernetes/, by their kinds and names."""
    objects = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / name).read_text())
    return {f"{each['kind']} {each['metadata']['name']}": each for each in objects}


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_kubernetes_knows_each_field(version: str) -> None:
    for each in of_the_hub():
        kubernetes_validate.validate(each, version, strict=True)


def test_values_and_manifests_name_the_same_service() -> None:
    ((name, service),) = values()["hub"]["services"].items()
    settings, _ = of_the_hub()
    base = manifests("settings.yaml")["ConfigMap cell-monitor-settings"]["data"]
    secrets = {"JWT_SECRET": "s" * 32, "JUPYTERHUB_API_TOKEN": "t"}
    server = from_environment({"HOST": "0.0.0.0", **base, **settings["data"], **secrets})
    assert server.signs_in
    assert server.jupyterhub_service_name == name
    assert server.jupyterhub_service_prefix == f"/services/{name}/"
    assert server.path_below == f"/services/{name}"
    assert service["url"] == f"http://{name}.cell-monitor"  # of the namespace
    (port,) = manifests("server.yaml")[f"Service {name}"]["spec"]["ports"]
    assert port["port"] == 80
    assert "command" not in service
    (scopes,) = (role["scopes"] for role in values()["hub"]["loadRoles"].values())
    assert f"access:services!service={name}" in scopes


def test_the_servers_pods_take_the_settings_and_the_token_of_the_hub() -> None:
    pods = manifests("server.yaml")["StatefulSet cell-monitor"]["spec"]["template"]["spec"]
    sources = pods["containers"][0]["envFrom"]
    settings, _ = of_the_hub()
    reference = {"name": settings["metadata"]["name"], "optional": True}
    assert sources[-2:] == [{"configMapRef": reference}, {"secretRef": reference}]
    text = (ROOT / "docs" / "jupyterhub.md").read_text()
    assert f"create secret generic {reference['name']} --from-literal=JUPYTERHUB_API_TOKEN=" in text


def test_the_server_lets_the_hubs_proxy_in() -> None:
    _, policy = of_the_hub()
    pods = manifests("server.yaml")["StatefulSet cell-monitor"]["spec"]["template"]["metadata"]
    assert policy["spec"]["podSelector"]["matchLabels"] == pods["labels"]
    ((who,),) = (each["from"] for each in policy["spec"]["ingress"])
    assert who["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "jhub"
    labels = {each["key"]: each["values"] for each in who["podSelector"]["matchExpressions"]}
    assert labels == {"app": ["jupyterhub"], "component": ["proxy", "hub"]}


def test_the_hub_lets_the_servers_pods_in() -> None:
    ((rule,),) = (each["from"] for each in values()["hub"]["networkPolicy"]["ingress"])
    (pods,) = (
        each["spec"]["template"]["metadata"]["labels"]
        for each in yaml.safe_load_all((ROOT / "deploy/kubernetes/server.yaml").read_text())
        if each["kind"] == "StatefulSet"
    )
    assert rule["podSelector"]["matchLabels"] == pods
    assert "kubectl create namespace cell-monitor\n" in (ROOT / "docs/containers.md").read_text()
    assert rule["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "cell-monitor"
