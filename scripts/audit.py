"""Checks the locked dependencies against OSV's advisories; exit status 1 if one is vulnerable.

If OSV can't be reached it prints that nothing was checked, and exits with 0.
"""

import json
import subprocess
import sys
from typing import Any

_COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv"),
    *("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"),
    *("--requirement", "requirements-dev.txt"),
]


def main(options: list[str]) -> int:
    """`options` are pip-audit's."""
    done = subprocess.run([*_COMMAND, *options], capture_output=True, text=True)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return _report([], f"no dependency: {reason}")
    skipped = [each["name"] for each in dependencies if "vulns" not in each]
    return _report(
        [each for each in dependencies if each.get("vulns")], ", ".join(skipped), len(dependencies)
    )


def _report(vulnerable: list[dict[str, Any]], unchecked: str, count: int = 0) -> int:
    for each in vulnerable:
        for advisory in each["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            print(
                f"VULNERABLE {each['name']} {each['version']}: {advisory['id']}, fixed in {fixed}"
            )
    if unchecked:
        print(f"NOT CHECKED for known vulnerabilities: {unchecked}")
    elif not vulnerable:
        print(f"{count} dependencies checked: no known vulnerability")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
