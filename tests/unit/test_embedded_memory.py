"""Which limit of memory a process has, by the files of version 1 and 2 of cgroups."""

import os
from pathlib import Path

import pytest

from monitor.database.embedded import memory

MB = 2**20
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
UNLIMITED = "9223372036854771712\n"

SECOND = "30 24 0:26 {root} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate"
FIRST = "31 24 0:27 {root} /sys/fs/cgroup/memory ro shared:9 - cgroup cgroup rw,memory"
OTHER = "32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"
DISK = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"


class System:
    """The files of a system in which this process believes to be."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def mount(self, *lines: str) -> None:
        self.write("proc/self/mountinfo", "\n".join((DISK, OTHER, *lines, "")))


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    return System(tmp_path)


def test_without_cgroups_it_is_the_machine(system: System) -> None:
    assert memory.available() == MACHINE
    system.mount(SECOND.format(root="/"))
    system.write("proc/self/cgroup", "0::/\n")
    assert memory.available() == MACHINE


def test_a_container_of_version_2(system: System) -> None:
    system.mount(SECOND.format(root="/"))
    system.write("proc/self/cgroup", "0::/\n")
    system.write("sys/fs/cgroup/memory.max", f"{192 * MB}\n")
    system.write("sys/fs/cgroup/memory.high", "max\n")
    assert memory.available() == 192 * MB


def test_a_service_has_the_least_of_the_limits_around_it(system: System) -> None:
    system.mount(SECOND.format(root="/"))
    system.write("proc/self/cgroup", "0::/system.slice/monitor.service/app\n")
    system.write("sys/fs/cgroup/system.slice/monitor.service/app/memory.max", "max\n")
    system.write("sys/fs/cgroup/system.slice/monitor.service/memory.max", f"{900 * MB}\n")
    system.write("sys/fs/cgroup/system.slice/memory.max", f"{700 * MB}\n")
    assert memory.available() == 700 * MB
    system.write("sys/fs/cgroup/system.slice/monitor.service/memory.high", f"{300 * MB}\n")
    assert memory.available() == 300 * MB


def test_a_container_of_version_1_sees_its_own_directory(system: System) -> None:
    system.mount(FIRST.format(root="/docker/a b"), SECOND.format(root="/docker/a b"))
    system.mount(FIRST.format(root="/docker/a\\040b"))
    system.write("proc/self/cgroup", "4:memory:/docker/a b\n3:cpu,cpuacct:/docker/a b\n0::/\n")
    system.write("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{192 * MB}\n")
    assert memory.available() == 192 * MB
    system.write("proc/self/cgroup", "4:memory:/docker/a b/inner\n")
    system.write("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", f"{64 * MB}\n")
    assert memory.available() == 64 * MB


def test_limits_of_version_1_that_are_out_of_sight(system: System) -> None:
    system.mount(FIRST.format(root="/kubepods/pod/container"))
    system.write("proc/self/cgroup", "4:hugetlb,memory:/kubepods/pod/container\n")
    system.write("sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED)
    stat = f"cache 5\nhierarchical_memory_limit {256 * MB}\nhierarchical_memsw_limit 1\nrss 7\n"
    system.write("sys/fs/cgroup/memory/memory.stat", stat)
    assert memory.available() == 256 * MB


def test_both_versions_side_by_side(system: System) -> None:
    unified = SECOND.format(root="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    system.mount(unified, FIRST.format(root="/"))
    system.write("proc/self/cgroup", "4:memory:/a\n0::/b\n")
    system.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", f"{256 * MB}\n")
    system.write("sys/fs/cgroup/memory/b/memory.limit_in_bytes", f"{1 * MB}\n")
    assert memory.available() == 256 * MB


@pytest.mark.parametrize("path", ["/../other", "/elsewhere"])
def test_a_cgroup_outside_of_what_is_mounted(system: System, path: str) -> None:
    system.mount(SECOND.format(root="/mine"))
    system.write("proc/self/cgroup", f"0::{path}\n")
    system.write("sys/fs/cgroup/memory.max", f"{512 * MB}\n")
    assert memory.available() == 512 * MB


@pytest.mark.parametrize(
    ("size", "buffers"),
    [(64, 16), (192, 16), (512, 64), (1024, 192), (4096, 960), (65_536, 1024)],
)
def test_buffers_leave_the_server_its_memory(size: int, buffers: int) -> None:
    settings = memory.settings(size * MB)
    assert settings["shared_buffers"] == f"{buffers}MB"
    assert ("maintenance_work_mem" in settings) == (size < 2048)
