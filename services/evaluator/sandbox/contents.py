"""Files of this machine that a candidate may read: what it needs to compute, and nothing that holds answers.

These are the standard library, torch and numpy with their requirements, all libraries that those link, and the harness.
No other package is shown, as it may carry a data set; of this project no loader, no protocol, no seed.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from pathlib import Path, PurePath

from services.evaluator.sandbox import distributions, libraries

PACKAGES = ("torch", "numpy")
HARNESS = "services.evaluator.harness"

_OTHERS = ("site-packages", "dist-packages")  # often inside the standard library
_TESTS = ("test", "tests")
_HEADERS = "include"  # of a package, for compilers
_CODE = (".py", ".pyi", ".pyc")
_FOR_PEOPLE = ("_tkinter", "_curses", "readline", "nis")  # screens and accounts: each links half a desktop


@dataclass(frozen=True)
class Contents:
    """Paths that candidates may read; the innermost of `shown` and `hidden` at or above a path decides.

    All are real paths. `links` are the symbolic links (path to target) on the machine's ways to them. `searched` are
    the folders of packages, in which imports look for names.
    """

    shown: frozenset[str]
    hidden: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    searched: frozenset[str] = frozenset()

    def holds(self, path: PurePath) -> bool:
        """Return whether a candidate finds what the machine has at this real path."""
        ways = map(str, (path, *path.parents))
        return next((way in self.shown for way in ways if way in self.shown or way in self.hidden), False)

    def spread(self) -> Iterator[str]:
        """Yield files and folders that hold nothing hidden and together are all that is shown.

        Landlock needs this form, as it can allow but not take away again.
        """
        return chain.from_iterable(map(self._spread, sorted(self.shown)))

    def partly(self) -> list[str]:
        """Return the folders that are shown without all that is in them."""
        return [path for path in sorted(self.shown) if self._divided(path)]

    def _spread(self, path: str) -> Iterator[str]:
        if not self._divided(path):
            yield path
            return
        for entry in os.scandir(path):
            if not entry.is_symlink() and entry.path not in self.shown and entry.path not in self.hidden:
                yield from self._spread(entry.path)

    def _divided(self, path: str) -> bool:
        return any(entry.startswith(f"{path}/") for entry in chain(self.shown, self.hidden))


def needed(names: Iterable[str] = PACKAGES, *, gpu: bool = False) -> Contents:
    """Return what candidates need of the packages of these names, and of the GPU's driver with `gpu`.

    Asks the dynamic loader which libraries they link.
    """
    links: dict[str, str] = {}
    packages = {resolve(path, links) for path in distributions.entries(names)}
    roots = packages | {resolve(path, links) for path in (*_standard_library(), *_folders(HARNESS))}
    hidden: set[str] = set()
    searched_first = os.environ.get("LD_LIBRARY_PATH", "")  # noqa: TID251 - the loader's own, set by `launch`
    linked = libraries.of_driver(filter(None, searched_first.split(":"))) if gpu else set()
    for root in map(Path, roots):
        programs = list(_survey(root, hidden))
        if programs:
            linked |= libraries.linked(str(root if root.is_dir() else root.parent), programs)
    shown = roots | {resolve(path, links) for path in linked}
    whole = Contents(frozenset(shown), frozenset(hidden))
    outermost = frozenset(path for path in shown if not whole.holds(PurePath(path).parent))
    searched = {str(path.parent) for path in map(PurePath, packages) if path.name != distributions.METADATA}
    return Contents(outermost, whole.hidden, links, frozenset(searched))


def resolve(path: str, links: dict[str, str]) -> str:
    """Return the real path of an existing file, and add the symbolic links on the way to `links`."""
    real, parts = Path("/"), path.split("/")[::-1]
    while parts:
        part = parts.pop()
        step = real.parent if part == ".." else real / part
        if part in {"", ".", ".."} or not step.is_symlink():
            real = step
            continue
        target = links[str(step)] = str(step.readlink())
        parts += target.split("/")[::-1]
        real = Path("/") if target.startswith("/") else real
    return str(real)


def _standard_library() -> Iterator[str]:
    """Yield the paths of the interpreter's own library; a virtual environment has none."""
    base = {"installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    folders = {sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")}
    archives = {path for path in sys.path if path.endswith(".zip") and path.startswith(f"{sys.base_prefix}/")}
    return (path for path in folders | archives if Path(path).exists())


def _folders(package: str) -> list[str]:
    spec = find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _survey(root: Path, hidden: set[str]) -> Iterator[str]:
    """Yield the programs in a file or folder; add folders that candidates do not need to `hidden`, and skip them."""
    if root.is_file() and libraries.is_program(root.name):
        yield str(root)
    for folder, folders, files in os.walk(root):
        unneeded = {name for name in folders if _unneeded(Path(folder, name))}
        folders[:] = {*folders} - unneeded
        hidden |= {f"{folder}/{name}" for name in unneeded}
        programs = (name for name in files if libraries.is_program(name) and not name.startswith(_FOR_PEOPLE))
        yield from (f"{folder}/{name}" for name in programs)


def _unneeded(folder: Path) -> bool:
    if folder.name not in {*_OTHERS, *_TESTS, _HEADERS} or folder.is_symlink():
        return False
    if folder.name in _TESTS:
        return any(not file.endswith(_CODE) for _, _, files in os.walk(folder) for file in files)
    return folder.name in _OTHERS or not (folder / "__init__.py").exists()
