"""What is written where, in both versions of control groups: over directories that look like the kernel's."""

from pathlib import Path

import pytest

from archloop.protocols.model import Limits
from services.evaluator.sandbox import cgroup
from services.evaluator.sandbox.cgroup import Group

LIMITS = Limits(memory_bytes=1 << 30, tmpfs_bytes=1 << 20, processes=7)
MEMORY = str((1 << 30) + (1 << 20) + (128 << 20))
V1 = {
    "memory": {"memory.limit_in_bytes": MEMORY, "memory.swappiness": "0", "memory.usage_in_bytes": "5"},
    "pids": {"pids.max": "7"},
    "cpu": {"cpu.cfs_quota_us": "300000"},
    "hugetlb": {"hugetlb.2MB.limit_in_bytes": "0", "hugetlb.1GB.limit_in_bytes": "0"},
}
V2 = {
    "": {
        "memory.max": MEMORY,
        "memory.swap.max": "0",
        "memory.current": "5",
        "pids.max": "7",
        "cpu.max": "300000 100000",
        "hugetlb.2MB.max": "0",
        "hugetlb.2MB.rsvd.max": "0",
        "hugetlb.1GB.max": "0",
    }
}
CASES = [(cgroup._V1, name, file, value) for name, files in V1.items() for file, value in files.items()]
CASES += [(cgroup._V2, name, file, value) for name, files in V2.items() for file, value in files.items()]


def tree(folder: Path, wanted: dict[str, dict[str, str]], *, used: int = 5) -> tuple[Path, ...]:
    """A directory for each controller, with the files of it."""
    directories = tuple(folder / f"group{name}" for name in wanted)
    for directory, files in zip(directories, wanted.values(), strict=True):
        directory.mkdir()
        for file in files:
            (directory / file).write_text(str(used) if "usage" in file or "current" in file else "as it was")
    return directories


@pytest.mark.parametrize(("files", "name", "file", "value"), CASES, ids=[case[2] for case in CASES])
def test_each_bound_is_written(tmp_path, files, name, file, value):
    group = Group(tree(tmp_path, V1 if files is cgroup._V1 else V2), files)
    group.close_in(threads=3)
    group.limit(LIMITS)
    assert (tmp_path / f"group{name}" / file).read_text() == value


@pytest.mark.parametrize("files", [cgroup._V1, cgroup._V2])
@pytest.mark.parametrize("beyond", [0, 1, 2 << 30])
def test_what_a_driver_takes_is_allowed_beyond_the_jobs_own(tmp_path, files, beyond):
    group = Group(tree(tmp_path, V1 if files is cgroup._V1 else V2), files)
    group.limit(LIMITS, beyond)
    (written,) = tmp_path.glob(f"*/{files.memory}")
    assert int(written.read_text()) == int(MEMORY) + beyond


@pytest.mark.parametrize("files", [cgroup._V1, cgroup._V2])
def test_a_controller_that_is_missing_is_left_out(tmp_path, files):
    present = {"memory": {files.memory: ""}}
    group = Group(tree(tmp_path, present), files)
    group.close_in(threads=3)
    group.limit(LIMITS)
    assert group.bounds() == ["memory"]
    assert [path.name for path in group.directories[0].iterdir()] == [files.memory]


@pytest.mark.parametrize(
    ("files", "wanted", "written"), [(cgroup._V1, V1, "0"), (cgroup._V2, V2, "1T")], ids=["version 1", "version 2"]
)
@pytest.mark.parametrize(("used", "reclaims"), [(0, False), (64 << 20, False), ((64 << 20) + 1, True), (5 << 30, True)])
def test_only_much_that_is_left_behind_is_given_back(tmp_path, files, wanted, written, used, reclaims):
    group = Group(tree(tmp_path, wanted, used=used), files)
    reclaim = group.directories[0] / files.reclaim
    reclaim.write_text("")
    group.leave()
    assert reclaim.read_text() == (written if reclaims else "")


@pytest.mark.parametrize(
    ("refusing", "bounds"),
    [
        ([], ["memory", "tasks", "CPU share", "swap", "huge pages"]),
        (["cpu"], ["memory", "tasks", "swap", "huge pages"]),
        (["hugetlb"], ["memory", "tasks", "CPU share", "swap"]),
        (["cpu", "hugetlb", "pids"], ["memory", "swap"]),
        (["memory"], None),
        (["memory", "pids"], None),
    ],
    ids=str,
)
def test_a_group_is_made_of_the_controllers_that_let_it(tmp_path, monkeypatch, refusing, bounds):
    def made(parent: Path, name: str) -> Path | None:
        if parent.name in refusing:
            return None
        (parent / name).mkdir()
        for file in V1[parent.name]:
            (parent / name / file).write_text("5")
        return parent / name

    parents = [tmp_path / name for name in V1]
    for parent in parents:
        parent.mkdir()
    monkeypatch.setattr(cgroup, "_made", made)
    monkeypatch.setattr(cgroup, "_parents_v1", lambda: parents)
    monkeypatch.setattr(cgroup, "_parents_v2", list)
    group = cgroup.create(slot=0, threads=3)
    assert (group.bounds() if group else None) == bounds
