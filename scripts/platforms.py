"""Resolves the locked dependencies for the machines that the documentation names, by wheels alone.

Exit status 1 if one has no wheel there. If the package index can't be reached it prints that
nothing was checked, and exits with 0.
"""

import subprocess
import sys
import tempfile

# uv's platforms, with the lock file that is installed there.
PLATFORMS = [
    ("aarch64-manylinux_2_28", "requirements-run.txt"),
    ("aarch64-manylinux_2_28", "requirements.txt"),
    ("x86_64-unknown-linux-musl", "requirements.txt"),
    ("aarch64-unknown-linux-musl", "requirements.txt"),
    ("aarch64-apple-darwin", "requirements-run.txt"),
]
_PYTHON = "3.13"  # the image's
_UNREACHABLE = ("Failed to fetch", "error sending request")


def main(options: list[str]) -> int:
    """`options` are those of `uv pip install`."""
    resolved = missing = 0
    with tempfile.TemporaryDirectory() as directory:
        for platform, requirements in PLATFORMS:
            reason = _resolve(platform, requirements, [*options, "--target", directory])
            if any(each in reason for each in _UNREACHABLE):
                print(f"NOT CHECKED for wheels: {requirements} on {platform}: {reason}")
            elif reason:
                missing += 1
                print(f"{requirements} can't be installed on {platform}: {reason}")
            else:
                resolved += 1
    print(f"{resolved} of {len(PLATFORMS)} platforms have wheels of all dependencies")
    return 1 if missing else 0


def _resolve(platform: str, requirements: str, options: list[str]) -> str:
    """Why the dependencies can't be installed; empty if they can."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--quiet"),
        *("--python-version", _PYTHON, "--python-platform", platform),
        *("--only-binary", ":all:", "--requirement", requirements, *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
