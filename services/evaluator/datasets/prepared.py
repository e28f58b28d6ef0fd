"""Prepared data sets: arrays on disk, mapped into memory, with a manifest of their hashes that is written last."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from archloop.contracts.base import Frozen, Sha256
from archloop.contracts.values import sha256_of
from archloop.errors import IntegrityError, InvalidInput
from services.evaluator.datasets.dataset import Split

MANIFEST = "manifest.json"
SPLITS = ("train", "test")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Manifest(Frozen):
    """Contents of a prepared data set.

    It holds uint8 images of `shape` (C, H, W), `counts` of them by split; `source` names the libraries that decoded
    them.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    counts: dict[str, int]
    files: dict[str, Sha256]

    @property
    def sha256(self) -> str:
        """Hash of all images and labels; neither the name nor the libraries that decoded them count."""
        return sha256_of("\n".join(f"{file} {self.files[file]}" for file in sorted(self.files)))


@dataclass(frozen=True, eq=False)
class PreparedArrays:
    """Arrays of a prepared data set, which are read from the disk as they are used."""

    manifest: Manifest
    train: Split
    test: Split


def images_file(split: str) -> str:
    """Return the name of the file of uint8 images (N, C, H, W)."""
    return f"{split}-images.npy"


def labels_file(split: str) -> str:
    """Return the name of the file of int64 labels (N,)."""
    return f"{split}-labels.npy"


def array_files() -> list[str]:
    """Return the names of the files of all arrays."""
    return [named(split) for split in SPLITS for named in (images_file, labels_file)]


def folder(root: Path, name: str) -> Path:
    """Return the folder of the data set, which need not exist. Raises InvalidInput for an invalid name."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("name of a data set", name, "lower-case letters, digits, `.`, `_` and `-`, a letter first")
    return root / name


def prepared(root: Path) -> Iterator[Manifest]:
    """Yield the manifests of all prepared data sets, by name. Raises IntegrityError."""
    for path in sorted(root.glob(f"[!.]*/{MANIFEST}")):
        yield manifest(path.parent)


def opened(path: Path) -> PreparedArrays:
    """Map the arrays of one data set after checking its files. Raises IntegrityError.

    All bytes are hashed: a service opens a data set once in its life, and every score depends on them.
    """
    found = verified(path)
    train, test = (_split(path, split) for split in SPLITS)
    return PreparedArrays(found, train, test)


def verified(path: Path) -> Manifest:
    """Return the manifest if every file has the hash that it gives. Raises IntegrityError that names the file."""
    found = manifest(path)
    for name in array_files():
        try:
            actual = hash_of(path / name)
        except OSError as error:
            raise IntegrityError(f"{path / name}: {error.strerror}{_remedy(path)}") from error
        if actual != found.files.get(name):
            raise IntegrityError(f"{path / name}: sha256 is {actual}, not {found.files.get(name)}{_remedy(path)}")
    return found


def manifest(path: Path) -> Manifest:
    """Read the manifest without checking the files. Raises IntegrityError."""
    try:
        return Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path / MANIFEST}: cannot be read{_remedy(path)}") from error


def hash_of(file: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _split(path: Path, split: str) -> Split:
    images, labels = (np.load(path / name(split), "r", allow_pickle=False) for name in (images_file, labels_file))
    return Split(images, labels)


def _remedy(path: Path) -> str:
    return f"; remove {path} and run `archloop data prepare {path.name}` again"
