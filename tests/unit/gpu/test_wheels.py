"""What a machine with a GPU and no network is brought, and in which parts."""

import subprocess

import pytest

from benchmarks.gpu import wheels

BARE = ["torch==2.11.0", "numpy==2.5.2"]


def test_torch_and_what_its_cuda_builds_bring_is_never_brought():
    named = {wheels.name_of(line) for line in wheels.missing(wheels.WANTED, [], "3.12")}
    assert {"pydantic", "trl", "bitsandbytes", "pyseccomp", "pytest-asyncio"} <= named
    assert not {"torch", "triton", "torchvision", "archloop"} & named
    assert not [name for name in named if name.startswith("nvidia-") and name != "nvidia-ml-py"]


@pytest.mark.parametrize("name", ["pydantic", "trl", "structlog", "aio-pika", "typer"])
def test_what_is_there_is_not_brought_but_where_it_is_asked_for(name):
    without = wheels.missing(wheels.WANTED, BARE, "3.12")
    there = [*BARE, f"{name.replace('-', '_')}==0.0.1"]
    assert name in map(wheels.name_of, without)
    assert name not in map(wheels.name_of, wheels.missing(wheels.WANTED, there, "3.12"))
    assert name in map(wheels.name_of, wheels.missing(wheels.WANTED, there, "3.12", also=[name]))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("torch==2.11.0+cu130", "torch"),
        ("Typing_Extensions==4.12", "typing-extensions"),
        (" pyyaml", "pyyaml"),
        ("-e git+https://host/x@1#egg=x", "git"),
        ("numpy @ file:///wheels/numpy.whl", "numpy"),
        ("# a comment", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_line(line, name):
    assert wheels.name_of(line) == name


@pytest.mark.parametrize("size", [1, 10, 59, 60, 61, 100, 125])
def test_a_large_wheel_is_split_and_joined_to_the_byte(tmp_path, size):
    content = bytes(number % 251 for number in range(size))
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_bytes(content)
    made = wheels.parts(wheel, 60)
    assert b"".join(part.read_bytes() for part in sorted(made)) == content
    assert max(part.stat().st_size for part in made) <= 60
    assert wheel.exists() == (size <= 60)


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [([], 0), ([60], 1), ([30, 30], 1), ([31, 30], 2), ([20, 50, 10, 40], 2), ([60, 60, 60], 3), ([5] * 24, 2)],
)
def test_transfers_hold_all_files_and_none_is_too_large(tmp_path, sizes, groups):
    files = [tmp_path / f"{number}.whl" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(bytes(size))
    made = wheels.transfers(files, 60)
    assert sorted(file for group in made for file in group) == sorted(files)
    assert [sum(file.stat().st_size for file in group) <= 60 for group in made] == [True] * groups


@pytest.mark.parametrize("size", [10, 60, 61, 130, 1000])
def test_the_installer_joins_what_was_split(tmp_path, size):
    """With a `python3` that only says what it is given."""
    content = bytes(number % 251 for number in range(size))
    for name in ("a-1-py3-none-any.whl", "b-2-py3-none-any.whl"):
        (tmp_path / name).write_bytes(content)
        wheels.parts(tmp_path / name, 60)
    (tmp_path / "install.sh").write_text(wheels._INSTALL)
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    run = ["sh", str(tmp_path / "install.sh"), "/site"]
    said = subprocess.run(
        run, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout
    joined = sorted(tmp_path.glob("*.whl"))
    assert [path.read_bytes() for path in joined] == [content] * 2
    assert all(str(path) in said for path in joined)
    assert "--target /site" in said
    assert "export PYTHONPATH=/site" in said
