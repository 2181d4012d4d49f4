#!/bin/sh
# Creates the virtual environment $1 with the first Python that is new enough, or says what to install.
set -eu
for python in ${PYTHON3:-} python3 python3.14 python3.13 python3.12 python3.11; do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        exec "$python" -m venv "$1"
    fi
    incomplete=$python
done
if [ -n "${incomplete:-}" ]; then
    echo "$incomplete lacks its venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2
else
    echo "Python 3.11 or later is needed, with its venv module." >&2
    echo "Debian 12+ and Ubuntu 24.04+: apt-get install python3 python3-venv. macOS: brew install python3" >&2
    echo "If it is not on the PATH, name it: PYTHON3=/opt/python/bin/python3 make" >&2
fi
exit 1
