"""What `docker compose` makes of the files of this checkout, as the Compose specification says."""

import re
from typing import Any

import yaml

from tests.support.paths import ROOT

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:?)([-?])([^}]*))?\})")


class ComposeError(Exception):
    """Compose would start nothing."""


def started(variables: dict[str, str], *paths: str) -> dict[str, Any]:
    """The services that start without a profile, by name, where `.env` has these variables.

    Each of `paths`, below the checkout, is merged into those before it. Raises ComposeError.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _merge(merged, _expand(yaml.safe_load((ROOT / path).read_text()), variables))
    services = {name: each for name, each in merged["services"].items() if not each.get("profiles")}
    for name, service in services.items():
        for other, how in _needed(service).items():
            if how.get("required", True) and other not in services:
                raise ComposeError(f"{name} depends on {other}, which is not started")
        service["environment"] = _environment(service, variables)
    return services


def _environment(service: dict[str, Any], variables: dict[str, str]) -> dict[str, str]:
    of_files = variables if service.get("env_file") else {}
    return of_files | {name: str(text) for name, text in service.get("environment", {}).items()}


def _needed(service: dict[str, Any]) -> dict[str, Any]:
    needed = service.get("depends_on", {})
    return needed if isinstance(needed, dict) else {name: {} for name in needed}


def _merge(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {
            name: _merge(old[name], new[name]) if name in old else new[name] for name in new
        }
    if isinstance(old, list) and isinstance(new, list):
        return old + new
    return new


def _expand(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _expand(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, variables) for each in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _text(found, variables), value)
    return value


def _text(found: re.Match[str], variables: dict[str, str]) -> str:
    name, or_empty, operator, word = found.groups()
    if name is None:
        return "$"
    text = variables.get(name)
    if text or (text is not None and not or_empty):
        return text
    if operator == "?":
        raise ComposeError(f"required variable {name} is missing a value")
    return word or ""
