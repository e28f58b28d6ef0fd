"""Packages that a machine without a network lacks, as wheels in parts that fit a transfer.

    python -m benchmarks.gpu.wheels --freeze target.txt --python 3.12 --out wheels

`target.txt` is the `pip freeze` of the machine with the GPU, or a list of names with commas or line ends between. What
it has is not brought, whatever its version; `--also NAME` brings a package all the same. Its torch is never brought: a
CUDA build and what it links are gigabytes. Without one there the proof cannot run. On that machine, with the contents
of all folders `transfer…` in one, `sh install.sh FOLDER` joins the parts and installs them into FOLDER.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PART_BYTES = 60 * 1024**2  # below 64 MiB with what surrounds it
# Torch itself, what only its CUDA builds bring, and what needs the very torch that it was built for.
NEVER = re.compile(r"torch|torchvision|torchaudio|triton|cuda-.*|nvidia-(?!ml-py).*")
# Of the project what the proof imports, and what runs its tests.
EXTRAS = "generator,evaluator,novelty,trainer,registry,cli,qlora"
WANTED = (f"archloop[{EXTRAS}]", "httpx", "psutil", "pytest", "pytest-asyncio", "pytest-timeout")
_INSTALL = """#!/bin/sh
# Joins the parts, installs the wheels into the folder that is named, and says how to use it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?"usage: sh install.sh FOLDER"}
for first in "$here"/*.whl.part00; do
    [ -e "$first" ] || continue
    cat "${first%00}"?? > "${first%.part00}"
done
python3 -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$target" "$here"/*.whl
echo "export PYTHONPATH=$target"
"""


def missing(wanted: Iterable[str], there: Iterable[str], python: str, also: Iterable[str] = ()) -> list[str]:
    """Return `name==version` of what the wanted packages need and the target lacks, as it is installed here."""
    has = set(map(name_of, there)) - set(map(canonicalize_name, also))
    lacking = [name for name in required(wanted, python) if name not in has and not NEVER.fullmatch(name)]
    return [f"{name}{_pin(name)}" for name in sorted(lacking)]


def required(wanted: Iterable[str], python: str) -> Iterator[str]:
    """Yield the names of all that these packages need on Linux with that Python, the project itself left out."""
    seen: set[tuple[str, str]] = set()
    open_ones = [Requirement(text) for text in wanted]
    while open_ones:
        requirement = open_ones.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                open_ones += _needs(name, extra, python)
    yield from sorted({name for name, _ in seen} - {"archloop"})


def parts(wheel: Path, size: int = PART_BYTES) -> list[Path]:
    """Split a wheel that is larger than a part, in place; a smaller one stays whole."""
    if wheel.stat().st_size <= size:
        return [wheel]
    made: list[Path] = []
    with wheel.open("rb") as source:
        while chunk := source.read(size):
            made.append(wheel.with_name(f"{wheel.name}.part{len(made):02d}"))
            made[-1].write_bytes(chunk)
    wheel.unlink()
    return made


def transfers(files: Sequence[Path], size: int = PART_BYTES) -> list[list[Path]]:
    """Group files so that each group fits a transfer; the largest first, each into the first group with room."""
    groups: list[list[Path]] = []
    for file in sorted(files, key=lambda path: (-path.stat().st_size, path.name)):
        room = (group for group in groups if sum(one.stat().st_size for one in [*group, file]) <= size)
        group = next(room, None)
        if group is None:
            groups.append(group := [])
        group.append(file)
    return groups


def name_of(line: str) -> str:
    """Return the package that a line of `pip freeze`, or of a list of names, is about; empty where it is none."""
    found = re.match(r"\s*(?:-e\s+)?([A-Za-z0-9][\w.-]*)", line.partition("#")[0])
    return canonicalize_name(found[1]) if found else ""


def download(packages: Sequence[str], python: str, folder: Path) -> None:
    """Fetch the wheels of that Python on x86-64, for a C library from 2.28 on and older. Raises CalledProcessError."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    where = [option for platform in platforms for option in ("--platform", platform)]
    how = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *where]
    for package in packages:  # one by one: what has no wheel is named
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", *how, "-d", str(folder), package], check=False
        )
        if done.returncode:
            print(f"no wheel of {package} for Python {python}", file=sys.stderr)


def _needs(name: str, extra: str, python: str) -> list[Requirement]:
    environment = {"extra": extra, "python_version": python, "python_full_version": f"{python}.0"}
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return []
    found = [Requirement(text) for text in texts]
    return [one for one in found if one.marker is None or one.marker.evaluate(environment)]


def _pin(name: str) -> str:
    """Return the version that is installed here; empty, which is the newest, where it is not."""
    try:
        return f"=={distribution(name).version}"
    except PackageNotFoundError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--freeze", type=Path, required=True, help="what the target has: its `pip freeze`")
    parser.add_argument("--python", default="3.12", help="the target's Python")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--also", nargs="*", default=[], help="brought whatever the target has")
    parser.add_argument("--list", action="store_true", help="only name them")
    options = parser.parse_args()
    there = re.split(r"[,\n]", options.freeze.read_text())
    if "torch" not in set(map(name_of, there)):
        print("the target has no torch: it needs one that is built for its GPU", file=sys.stderr)
    packages = missing(WANTED, there, options.python, options.also)
    print("\n".join(packages))
    if options.list:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    download(packages, options.python, options.out)
    files = [part for wheel in options.out.glob("*.whl") for part in parts(wheel)]
    for number, group in enumerate(transfers(files)):
        folder = options.out / f"transfer{number}"
        folder.mkdir(exist_ok=True)
        for file in group:
            file.rename(folder / file.name)
    (options.out / "install.sh").write_text(_INSTALL)


if __name__ == "__main__":
    main()
