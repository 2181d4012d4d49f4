"""Checks the locked dependencies for known vulnerabilities; 1 when there is one."""

import json
import subprocess
import sys


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", "-f", "json", "-r", "requirements-dev.txt"],
        capture_output=True,
        text=True,
    )
    if not done.stdout.strip():
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        print(f"Dependencies NOT checked for vulnerabilities: {reason}")
        return 0
    found = json.loads(done.stdout)["dependencies"]
    unknown = [each["name"] for each in found if "skip_reason" in each]
    vulnerable = [each for each in found if each.get("vulns")]
    for each in vulnerable:
        ids = ", ".join(vulnerability["id"] for vulnerability in each["vulns"])
        print(f"{each['name']} {each['version']}: {ids}")
    if unknown:
        print(
            f"{len(unknown)} of {len(found)} dependencies NOT checked for vulnerabilities:"
            " the package index has no advisories on them"
        )
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
