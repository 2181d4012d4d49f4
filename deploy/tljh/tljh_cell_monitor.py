"""Cell Monitor in The Littlest JupyterHub: its service, and what students' notebooks need of it.

See docs/jupyterhub.md. Settings are in `cell-monitor.toml` beside this file, copied to FILE.
"""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pluggy

TLJH = Path("/opt/tljh")
FILE = Path("config/cell-monitor.toml")  # below TLJH
OVERRIDES = Path("user/share/jupyter/lab/settings/overrides.json")
USER = "cell-monitor"  # of the system: the server runs as it
HOME = "/var/lib/cell-monitor"

hookimpl = pluggy.HookimplMarker("tljh")


def _settings() -> dict[str, Any]:
    """What the administrator has set; nothing without the file."""
    try:
        return tomllib.loads((TLJH / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}


@hookimpl
def tljh_extra_user_pip_packages() -> list[str]:
    """For the students' environment."""
    return list(_settings().get("user_packages", []))


@hookimpl
def tljh_custom_jupyterhub_config(c: Any) -> None:
    """The Hub starts the server, and everybody who may use the Hub may sign in there."""
    settings = _settings()
    service = {
        "name": "cell-monitor",
        "url": "http://127.0.0.1:8000",
        "command": [str(Path(sys.prefix, "bin", "cell-monitor"))],
        "environment": {"DATA_DIR": HOME, "TRUSTED_PROXIES": "127.0.0.1"}
        | settings.get("environment", {}),
        "oauth_no_confirm": True,
    }
    if os.geteuid() == 0:
        service["user"] = USER
    c.JupyterHub.services.append(service)
    c.JupyterHub.load_roles.append(
        {"name": "user", "scopes": ["self", "access:services!service=cell-monitor"]}
    )
    groups = {"instructors": {"users": settings.get("instructors", [])}}
    c.JupyterHub.load_groups.update(groups)


@hookimpl
def tljh_post_install() -> None:
    """JupyterLab's extension finds its settings; those of other extensions stay."""
    extension = _settings().get("extension", {})
    if not extension:
        return
    path = TLJH / OVERRIDES
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | extension, indent=2, ensure_ascii=False) + "\n", "utf-8")
