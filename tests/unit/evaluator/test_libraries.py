"""Shared libraries, asked of the dynamic loader; the driver's, of its cache."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from services.evaluator.sandbox import libraries

CACHE = """3 libs found in cache `/etc/ld.so.cache'
\tlibz.so.1 (libc6,x86-64) => {0}/libz.so.1
\tlibcudart.so.12 (libc6,x86-64) => {0}/libcudart.so.12
\tlibcuda.so.1 (libc6,x86-64) => {0}/libcuda.so.1
\tlibcuda.so (libc6,x86-64) => {0}/libcuda.so
\tlibcudadebugger.so.1 (libc6,x86-64) => {0}/libcudadebugger.so.1
\tlibnvidia-ml.so.1 (libc6,x86-64) => {0}/libnvidia-ml.so.1
\tlibnvidia-ptxjitcompiler.so.1 (libc6,x86-64, OS ABI: Linux 2.3.99) => {0}/libnvidia-ptxjitcompiler.so.1
\tlibcudnn.so.9 (libc6,x86-64) => {0}/libcudnn.so.9
"""


def names(paths: set[str]) -> set[str]:
    return {Path(path).name.partition(".so")[0] for path in paths}


def extension(module: str) -> Path:
    origin = find_spec(module).origin
    if origin in (None, "built-in"):
        pytest.skip(f"{module} is built into this interpreter")
    return Path(origin)


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("_ssl", "libcrypto"),
        ("_ctypes", "libffi"),
        ("_lzma", "liblzma"),
        ("_bz2", "libbz2"),
        ("_sqlite3", "libsqlite3"),
    ],
)
def test_what_a_module_links_is_found_by_its_path(module, library):
    program = extension(module)
    linked = libraries.linked(str(program.parent), [str(program)])
    assert {library, "libc"} <= names(linked)
    assert all(Path(path).is_file() for path in linked)


def test_so_is_what_that_links():
    core = Path(np.__file__).parent
    programs = list(map(str, core.glob("_core/_multiarray_umath.*.so")))
    direct = libraries.linked(str(core), programs)
    assert direct > libraries.linked("/", [])
    for path in direct:
        assert libraries.linked(str(Path(path).parent), [path]) <= direct


@pytest.mark.parametrize("folder", ["with blank", "with:colon", "with: both", "plain"])
def test_a_folder_may_have_any_name(tmp_path, folder):
    program = extension("_ssl")
    (tmp_path / folder).mkdir()
    shutil.copy(program, tmp_path / folder / "own.so")
    linked = libraries.linked(str(tmp_path / folder), [str(tmp_path / folder / "own.so")])
    assert linked == libraries.linked(str(program.parent), [str(program)])


def test_what_is_no_program_is_passed_over(tmp_path):
    for name in ("empty.so", "text.so.1"):
        (tmp_path / name).write_text("" if name == "empty.so" else "no ELF")
    broken = [str(tmp_path / name) for name in ("empty.so", "text.so.1", "absent.so")]
    assert libraries.linked(str(tmp_path), broken) == libraries.linked("/", [])


def test_of_the_driver_its_own_libraries_alone(tmp_path, monkeypatch):
    program = tmp_path / "ldconfig"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/cache\n")
    program.chmod(0o755)
    (tmp_path / "cache").write_text(CACHE.format(tmp_path))
    monkeypatch.setattr(libraries, "_LDCONFIG", ("no-such-program", str(program)))
    found = {path for path in libraries.of_driver() if path.startswith(str(tmp_path))}
    expected = (
        "libcuda.so",
        "libcuda.so.1",
        "libcudadebugger.so.1",
        "libnvidia-ml.so.1",
        "libnvidia-ptxjitcompiler.so.1",
    )
    assert found == {f"{tmp_path}/{name}" for name in expected}


def test_without_a_cache_there_is_no_driver(monkeypatch):
    monkeypatch.setattr(libraries, "_LDCONFIG", ("no-such-program",))
    assert libraries.of_driver() == set()


def test_the_driver_may_lie_beside_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "_LDCONFIG", ("no-such-program",))
    for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libcudart.so.12", "libnvidia-nvvm.so.4", "readme"):
        (tmp_path / name).touch()
    found = {path for path in libraries.of_driver([str(tmp_path), "/no/such/folder"]) if path.startswith(str(tmp_path))}
    assert names(found) == {"libcuda", "libnvidia-ml", "libnvidia-nvvm"}


@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [
        ("", [], ""),
        ("/a", [], "/a"),
        ("", ["nvidia"], "{0}/nvidia"),
        ("/a:/b", ["nvidia"], "/a:/b:{0}/nvidia"),
        ("{0}/nvidia:/a", ["nvidia", "wsl"], "{0}/nvidia:/a:{0}/wsl"),
        (":/a:", [], "/a"),  # an empty entry would be the working directory
    ],
)
def test_where_the_loader_looks_for_the_driver(tmp_path, given, there, expected):
    for name in there:
        (tmp_path / name).mkdir()
    known = [str(tmp_path / name) for name in ("nvidia", "wsl")]
    assert libraries.search_path(given.format(tmp_path), known) == expected.format(tmp_path)


def test_a_library_that_opens_its_neighbours_by_name_brings_them(tmp_path):
    for name in ("libmkl_core.so.2", "libmkl_avx2.so.2", "libmkl_def.so.2", "libother.so.2"):
        (tmp_path / name).touch()
    neighbours = set(libraries._neighbours(str(tmp_path / "libmkl_core.so.2")))
    assert names(neighbours) == {"libmkl_core", "libmkl_avx2", "libmkl_def"}
    assert set(libraries._neighbours(str(tmp_path / "libother.so.2"))) == set()
