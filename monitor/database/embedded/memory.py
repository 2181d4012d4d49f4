"""The memory that this process and its PostgreSQL may use, and PostgreSQL's settings for it.

A container has its machine's memory by every other measure; what limits it is its cgroup.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")

_MB = 2**20
_LEAST_BUFFERS = 16  # MB; PostgreSQL works with less, but reads each page again and again
_MOST_BUFFERS = 1024  # MB; the system caches files too
_SERVERS_SHARE = 256 * _MB  # what this server and its workers need themselves
_DEFAULTS_FIT = 2048 * _MB  # of memory, in which PostgreSQL's own defaults are right


class _Hierarchy(NamedTuple):
    """A mounted tree of cgroups that limits memory. `root` is the cgroup at the mount's top."""

    is_first_version: bool
    root: str
    mount: Path


def settings(memory: int | None = None) -> Mapping[str, str]:
    """PostgreSQL's settings for so many bytes of memory, by default those there are.

    A quarter of the memory are buffers, as PostgreSQL recommends, after the server's own share.
    """
    if memory is None:
        memory = available()
    buffers = max(0, memory - _SERVERS_SHARE) // 4 // _MB
    sizes = {"shared_buffers": max(_LEAST_BUFFERS, min(_MOST_BUFFERS, buffers))}
    if memory < _DEFAULTS_FIT:
        sizes["effective_cache_size"] = max(_LEAST_BUFFERS, memory // 2 // _MB)
        # Each of three autovacuum workers may take it.
        sizes["maintenance_work_mem"] = max(4, memory // 32 // _MB)
    return {name: f"{size}MB" for name, size in sizes.items()}


def available() -> int:
    """The machine's memory in bytes, or the least limit of this process's cgroups."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min((machine, *_limits()))


def _limits() -> Iterator[int]:
    """Every limit of this process's cgroups and of those around them; none outside Linux."""
    paths = _paths()
    for hierarchy in _hierarchies():
        path = paths.get(hierarchy.is_first_version)
        if path is not None:
            files = _files(hierarchy.is_first_version)
            for directory in _directories(hierarchy, path):
                yield from _numbers(directory, files)


def _files(is_first_version: bool) -> tuple[str, ...]:
    # memory.stat also has the limits around a container, which sees its own directory only.
    return ("memory.limit_in_bytes", "memory.stat") if is_first_version else _SECOND_VERSION


_SECOND_VERSION = ("memory.max", "memory.high")  # above `high` processes are throttled to a stop


def _paths() -> Mapping[bool, str]:
    """This process's cgroup in the hierarchies of the first version (True) and of the second."""
    paths: dict[bool, str] = {}
    for line in _lines("proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            paths[True] = path
        elif number == "0" and not controllers:
            paths[False] = path
    return paths


def _hierarchies() -> Iterator[_Hierarchy]:
    """See proc(5), /proc/pid/mountinfo."""
    for line in _lines("proc/self/mountinfo"):
        mount, _, filesystem = line.partition(" - ")
        _, _, _, root, place = (_unescaped(field) for field in mount.split()[:5])
        kind, _, options = filesystem.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            yield _Hierarchy(kind == "cgroup", root, ROOT / place.lstrip("/"))


def _unescaped(field: str) -> str:
    """A field of mountinfo, in which spaces are `\\040`."""
    return field.encode("latin-1", "replace").decode("unicode_escape") if "\\" in field else field


def _directories(hierarchy: _Hierarchy, path: str) -> Iterator[Path]:
    """The cgroup's directory and those above it, as far as they can be seen."""
    inside = _relative(path, hierarchy.root)
    directory = hierarchy.mount / inside
    yield directory
    for _ in Path(inside).parts:
        directory = directory.parent
        yield directory


def _relative(path: str, root: str) -> str:
    """`path` seen from the cgroup `root`; empty where it lies outside: that is all one sees."""
    if ".." in Path(path).parts or not Path(path).is_relative_to(root):
        return ""
    relative = str(Path(path).relative_to(root))
    return "" if relative == "." else relative


def _numbers(directory: Path, names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        for line in _lines(str(directory.relative_to(ROOT) / name)):
            key, _, value = line.rpartition(" ")
            if key in ("", "hierarchical_memory_limit") and value.isdigit():  # else "max"
                yield int(value)


def _lines(path: str) -> list[str]:
    """Of a file below ROOT; none if there is no such file, or it can't be read."""
    with suppress(OSError):
        return (ROOT / path).read_text(errors="replace").splitlines()
    return []
