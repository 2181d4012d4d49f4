"""Starts a program that ends with this process and has no privileges: not root's, no capability.

Run as a script this file becomes that program: in a server with threads, no code of ours may run
between fork and exec.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522

# Don't pass our environment on: it may hold secrets, PG* variables and another locale.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
# Without it some builds of Python do not load.
KEPT_VARIABLES = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}

SystemUser = tuple[int, int]


def unprivileged_user(owned: Path) -> SystemUser | None:
    """The user and group to run as when we are root: the directory's owner, or a system user.

    None if we are not root. Raises PermissionError if there is no such user.
    """
    if os.geteuid() != 0:
        return None
    if owned.exists() and (status := owned.stat()).st_uid != 0:
        return status.st_uid, status.st_gid
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise PermissionError("the system has neither a user `postgres` nor `nobody`")


def start(
    program: Sequence[str],
    user: SystemUser | None,
    output: IO[bytes],
    *,
    die_with_us: bool,
    piped: bool,
) -> subprocess.Popen[bytes]:
    """Start `program`, an absolute path and its arguments, as `user` (None: as ourselves).

    `die_with_us`: the kernel ends it when this process dies. Raises RuntimeError if that is asked
    for from another thread than the main one.
    """
    if die_with_us and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the child would end with this thread: start it from the main one")
    parent = os.getpid() if die_with_us else 0
    uid, gid = user or (0, 0)
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", __file__, str(parent), str(uid), str(gid), *program],
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        env=ENVIRONMENT | KEPT_VARIABLES,
        # Ctrl-C reaches a whole process group, and the child has to outlive our last writes.
        start_new_session=True,
    )


def become(parent: int, uid: int, gid: int, program: list[str]) -> None:
    """Replaces this process by `program`, as that user; it is interrupted when `parent` dies.

    `parent` is 0 for none, `uid` 0 for the present user. The order matters, because a change of
    user clears the death signal. Raises ProcessLookupError if the parent has died, and OSError.
    """
    # An ignored signal stays ignored over exec, and `nohup` or a shell's `&` ignore this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if uid:
        _drop(uid, gid, [Path(word) for word in program if word.startswith("/")])
    if sys.platform == "linux":
        _drop_capabilities()
    if parent:
        _prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        # A parent that died before the line above sends nothing.
        if os.getppid() != parent:
            raise ProcessLookupError("the server has gone")
    os.execv(program[0], program)  # noqa: S606


def _drop(uid: int, gid: int, needed: list[Path]) -> None:
    name = _name(uid)
    try:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        raise PermissionError(
            f"root can't run PostgreSQL as the user {name} ({error}): start the server as an"
            " ordinary user, or set DATABASE_URL"
        ) from error
    hidden = [path for path in needed if not os.access(path, os.R_OK | os.X_OK)]
    if hidden:
        raise PermissionError(
            f"the user {name}, as whom root runs PostgreSQL, cannot reach {hidden[0]}: put DATA_DIR"
            f" and the checkout where {name} can, start the server as an ordinary user, or set"
            " DATABASE_URL"
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _drop_capabilities() -> None:
    """Drops all of them, and with them those that outlive exec; no program gives any back."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(
            ctypes.get_errno(),
            "PostgreSQL would keep capabilities of this server, which can't be dropped: start the"
            " server as an ordinary user, or set DATABASE_URL",
        )
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"{sys.argv[4]}: {error}")
