"""Where LEMUR is read from: nn-dataset's wheel, a checkout or an unpacked wheel, or its SQLite database."""

import tempfile
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from archloop.errors import InvalidInput, NotFound
from archloop_lab.lemur import items
from archloop_lab.lemur.database import Database, is_database
from archloop_lab.lemur.items import FIRST, Item, Problem
from archloop_lab.lemur.rules import Config
from archloop_lab.wheels import download, verified

WORD = "nn-dataset"
NN, STAT = "ab/nn/nn", "ab/nn/stat/train"
LARGEST = 16 * 1024**2
_EXPECTED = f"nn-dataset's wheel, a folder with ab/nn/nn in it, an nn-dataset database, or the word {WORD}"
_PACKAGE = "nn-dataset==2.1.2"  # the version that still ships its architectures
_SHA256 = "1f0b66a4f4de80a27b44a502112d4436eac1f97361ea3aae3266a550f01b07de"


class Source(Protocol):
    """Something to import, in as many parts as it has files or rows; architectures come first."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[Item]]: ...


class Files(Protocol):
    """A folder, or an archive of one."""

    def names(self) -> list[str]:
        """List every source file and every file of first-epoch trials, relative to the root."""

    def size(self, name: str) -> int:
        """Return the size in bytes, before the file is read."""

    def read(self, name: str) -> bytes:
        """Read a file. Raises OSError, BadZipFile, …."""


def opened(path: Path) -> Source:
    """Open the source at a path, by what is there and not by its name. Raises NotFound, InvalidInput."""
    if not path.exists():
        raise NotFound("file or folder", str(path))
    if path.is_dir() and (path / NN).is_dir():
        return FileForm(Folder(path))
    if path.is_file() and is_database(path):
        return Database(path)
    if path.is_file() and zipfile.is_zipfile(path):
        return FileForm(Wheel(path))
    raise InvalidInput("SOURCE", str(path), _EXPECTED)


def downloaded() -> Path:
    """Return nn-dataset's wheel, 103 MB, downloaded if that was not done before. Raises Unavailable, IntegrityError."""
    path = Path.home() / ".cache" / "archloop" / "lemur" / f"{_PACKAGE}.whl"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            verified(download(_PACKAGE, Path(scratch)), _SHA256, _PACKAGE).rename(path)
    return path


class Folder(Files):
    """The files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def names(self) -> list[str]:
        found = chain((self._root / NN).glob("*.py"), (self._root / STAT).glob(f"*/{FIRST}.json"))
        return [path.relative_to(self._root).as_posix() for path in found if path.is_file()]

    @override
    def size(self, name: str) -> int:
        return (self._root / name).stat().st_size

    @override
    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


class Wheel(Files):
    """The files of a wheel, which stays packed."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)

    @override
    def names(self) -> list[str]:
        return [name for name in self._zip.namelist() if _is_source(name) or _is_first(name)]

    @override
    def size(self, name: str) -> int:
        return self._zip.getinfo(name).file_size

    @override
    def read(self, name: str) -> bytes:
        return self._zip.read(name)


class FileForm:
    """`ab/nn/nn/{nn}.py` and `ab/nn/stat/train/{task}_{dataset}_{metric}_{nn}/{epoch}.json`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = sorted(name for name in files.names() if not name.endswith("/__init__.py"))

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[list[Item]]:
        return (self._items(name) for name in self._names)

    def _items(self, name: str) -> list[Item]:
        if not name.isprintable():
            return [Problem("name", ascii(name), "no plain text")]
        try:
            if self._files.size(name) > LARGEST:
                return [Problem("too large", name, f"{self._files.size(name)} bytes; at most {LARGEST} are read")]
            content = self._files.read(name)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            return [Problem("cannot be read", name, str(error))]
        if name.endswith(".py"):
            return [items.architecture(_stem(name), content, name)]
        config = Config.of(name.split("/")[-2])
        if config is None:
            return [Problem("folder name", name, "not of the form task_dataset_metric_nn")]
        return list(items.trials(config, content, name))


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".py")


def _is_source(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return folder == NN and file.endswith(".py")


def _is_first(name: str) -> bool:
    return name.startswith(f"{STAT}/") and name.endswith(f"/{FIRST}.json") and name.count("/") == STAT.count("/") + 2
