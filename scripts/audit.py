"""Checks the locked dependencies against OSV's advisories; exit status 1 when one is vulnerable.

Where OSV can't be reached it says that nothing was checked, which is no fault of a dependency.
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
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return _report([], f"no dependency: {reason}")
    skipped = [each["name"] for each in found if "vulns" not in each]
    return _report([each for each in found if each.get("vulns")], ", ".join(skipped), len(found))


def _report(vulnerable: list[dict[str, Any]], unchecked: str, count: int = 0) -> int:
    for each in vulnerable:
        for known in each["vulns"]:
            mended = ", ".join(known["fix_versions"]) or "no version yet"
            print(f"VULNERABLE {each['name']} {each['version']}: {known['id']}, mended in {mended}")
    if unchecked:
        print(f"NOT CHECKED for known vulnerabilities: {unchecked}")
    elif not vulnerable:
        print(f"{count} dependencies checked: no known vulnerability")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
