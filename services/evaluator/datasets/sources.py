"""Sources of prepared data sets: torchvision's readers, and folders. The service itself never imports them."""

import hashlib
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archloop.errors import InvalidInput, Misconfigured, Unavailable
from services.evaluator.datasets import folders
from services.evaluator.datasets.prepared import SPLITS

_DIGITS = tuple("0123456789")
_WITHOUT = f"or give with --from {folders.FORM}, which needs no torchvision"


@dataclass(frozen=True)
class Source:
    """Pairs of PIL image and class number, by split.

    `origin` is for people; `identity` differs with whatever changes the bytes that are decoded.
    """

    origin: str
    identity: str
    classes: tuple[str, ...]
    splits: Mapping[str, Any]

    def count(self, split: str) -> int:
        """Return the number of images in the split."""
        return len(self.splits[split])

    def label(self, split: str, index: int) -> int:
        """Return the class number of one image, in [0, classes)."""
        pairs = self.splits[split]
        labels = getattr(pairs, "targets", None)
        return int((pairs.labels if labels is None else labels)[index])

    def pixels(self, split: str, index: int) -> NDArray[np.uint8]:
        """Decode one image to uint8 (C, H, W). Raises InvalidInput that names what cannot be read."""
        try:
            pixels = np.asarray(self.splits[split][index][0], dtype=np.uint8)
        except OSError as error:
            raise InvalidInput("image", self.named(split, index), f"a readable one: {error}") from error
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def named(self, split: str, index: int) -> str:
        """Return the image's file, or else its number in the split."""
        samples = getattr(self.splits[split], "samples", None)
        return str(samples[index][0]) if samples else f"{split} image {index}"


def names() -> list[str]:
    """Return the names that torchvision can fetch and read; any other name is an image folder's."""
    return sorted(_KNOWN)


def source(name: str, files: Path, *, download: bool, side: int | None = None) -> Source:
    """Return the image folder at `files`, or else a known data set in torchvision's own form.

    `side` resizes the images of a folder: the shorter side to `side` pixels, then the middle is cut out. Raises
    InvalidInput, Unavailable when a download fails, Misconfigured without the library that reads them.
    """
    if name not in _KNOWN or folders.is_one(files):
        return _image_folder(files, side)
    if side is not None:
        raise InvalidInput("--side", side, f"none: {name} is kept as it is, and a protocol's `resize` enlarges it")
    return _known(name, files, download=download)


def _known(name: str, files: Path, *, download: bool) -> Source:
    try:
        splits = {split: _KNOWN[name](files, split, download) for split in SPLITS}
    except (OSError, RuntimeError) as error:
        if download:
            hint = (
                f"put its files there by other means, then `archloop data prepare {name} --no-download --from {files}`"
            )
            raise Unavailable(f"{name} could not be fetched into {files}: {error}; {hint}") from error
        expected = f"a folder with the files of {name} as torchvision reads them, of the md5 that it knows"
        raise InvalidInput("--from", str(files), expected) from error
    origin = f"{name} as read by {_libraries()}"
    return Source(origin, origin, tuple(getattr(splits["train"], "classes", _DIGITS)), splits)


def _cifar(kind: str) -> Callable[[Path, str, bool], Any]:
    return lambda files, split, download: getattr(vision(), kind)(files, train=split == "train", download=download)


def _svhn(files: Path, split: str, download: bool) -> Any:
    return vision().SVHN(files, split=split, download=download)


_KNOWN: Mapping[str, Callable[[Path, str, bool], Any]] = MappingProxyType(
    {"cifar10": _cifar("CIFAR10"), "cifar100": _cifar("CIFAR100"), "svhn": _svhn}
)


def _image_folder(files: Path, side: int | None) -> Source:
    splits = {split: folders.folder(files, split, side) for split in SPLITS}
    train, test = splits["train"], splits["test"]
    if train.classes != test.classes:
        raise InvalidInput(f"classes in {files / 'test'}", test.classes, f"those of `train`: {train.classes}")
    reader = f"image folder {files.name} as read by pillow {folders.pillow_version()}"
    origin = reader + (f", brought to {side} x {side}" if side else "")
    return Source(origin, _fingerprint(origin, files, splits), train.classes, splits)


def _fingerprint(origin: str, files: Path, splits: Mapping[str, folders.Folder]) -> str:
    """Hash every file's name, size and time, to tell whether an interrupted decoding may go on."""
    digest = hashlib.sha256(origin.encode())
    for split in SPLITS:
        for path, _ in splits[split].samples:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
                raise InvalidInput("image", str(path), "a file")
            digest.update(f"{path.relative_to(files)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _libraries() -> str:
    return " and ".join(f"{name} {version(name)}" for name in ("torchvision", "pillow"))


def vision() -> ModuleType:
    """Import `torchvision.datasets`. Raises Misconfigured where it is missing, or built for another torch."""
    try:
        import torchvision.datasets
    except ImportError as error:
        problem = f"cannot be imported ({error}); pip install 'archloop[data]'; {_WITHOUT}"
        raise Misconfigured("torchvision", problem) from error
    except RuntimeError as error:
        # Its compiled operators did not load. Other libraries import it too and would fail less plainly.
        problem = f"is no build for the torch that is installed ({error}); take both from the same index; {_WITHOUT}"
        raise Misconfigured("torchvision", problem) from error
    return torchvision.datasets  # type: ignore[no-any-return]
