"""A hardened container is recognised by what the kernel says, whatever is missing by name."""

import pytest

from services.evaluator.sandbox import container_checks
from services.evaluator.sandbox.container_checks import missing_protections

STATUS = "Name:\tpython\nUid:\t1000\t1000\t1000\t1000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
MOUNTS = """\
100 90 0:50 / / ro,relatime master:1 - overlay overlay rw,lowerdir=/a
101 100 0:51 / /proc rw,nosuid - proc proc rw
102 100 0:52 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw
"""


@pytest.fixture
def container(tmp_path):
    own = tmp_path / "proc/self"
    (own / "ns").mkdir(parents=True)
    (own / "status").write_text(STATUS)
    (own / "mountinfo").write_text(MOUNTS)
    for kind in ("pid", "ipc", "uts"):
        (own / "ns" / kind).symlink_to(f"{kind}:[4026532000]")
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture(autouse=True)
def _landlock(monkeypatch):
    monkeypatch.setattr(container_checks.landlock, "abi", lambda: 7)


def test_a_kernel_without_landlock_lacks_a_wall(container, monkeypatch):
    monkeypatch.setattr(container_checks.landlock, "abi", lambda: 0)
    assert look(container) == ["Landlock in its kernel"]


def look(container) -> list[str]:
    return missing_protections(container / "proc", container / "run")


def test_nothing_is_missing_in_one(container):
    assert look(container) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "missing"),
    [("status", "Uid:\t1000", "Uid:\t0", "a user other than root"),
     ("status", "CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", "an empty capability bounding set"),
     ("status", "NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs"),
     ("status", "Seccomp:\t2", "Seccomp:\t0", "a seccomp filter"),
     ("mountinfo", "/ / ro", "/ / rw", "a read-only root file system"),
     ("mountinfo", "cgroup ro", "cgroup rw", "cgroups that it cannot write to")],
)  # fmt: skip
def test_each_thing_is_missed_by_name(container, file, old, new, missing):
    path = container / "proc/self" / file
    path.write_text(path.read_text().replace(old, new))
    assert look(container) == [missing]


def test_of_the_older_cgroups_each_has_a_mount_of_its_own(container):
    path = container / "proc/self/mountinfo"
    older = (
        "102 100 0:52 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw\n"
        "103 102 0:53 / /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"
    )
    path.write_text("".join(MOUNTS.splitlines(keepends=True)[:2]) + older)
    assert look(container) == []
    path.write_text(path.read_text().replace("memory ro", "memory rw"))
    assert look(container) == ["cgroups that it cannot write to"]


def test_the_machines_own_processes_are_not_to_be_seen(container):
    pid = container / "proc/self/ns/pid"
    pid.unlink()
    pid.symlink_to("pid:[4026531836]")
    assert look(container) == ["a pid namespace of its own"]


def test_an_engines_socket_is_the_way_out(container):
    (container / "run/docker.sock").touch()
    assert look(container) == ["no socket of a container engine"]
