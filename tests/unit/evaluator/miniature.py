"""A few images in the forms that torchvision reads, and a source that needs no torchvision."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from services.evaluator.datasets.sources import Source, vision

CIFAR = {
    "CIFAR10": ("cifar-10-batches-py", [f"data_batch_{n}" for n in range(1, 6)], "test_batch", "batches.meta"),
    "CIFAR100": ("cifar-100-python", ["train"], "test", "meta"),
}


def pixels(count: int, shape: tuple[int, ...] = (3, 32, 32), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def coloured(labels: list[int], seed: int) -> np.ndarray:
    """Images that any network tells apart: noise, and a square whose colour and place are the class's."""
    images = pixels(len(labels), seed=seed) // 3
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(label % 9, 3)
        image[label % 3, 10 * row : 10 * row + 12, 10 * column : 10 * column + 12] = 255 - 20 * (label // 9)
    return images


_COLOURS = np.array([(30, 30, 30), (200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 220, 120)])


def banded(labels: np.ndarray, seed: int) -> np.ndarray:
    """Images of 32 x 32 for up to 125 classes: three bands, whose colours are the digits of the class to the base 5."""
    digits = np.stack([labels // 25, labels // 5 % 5, labels % 5], axis=1)
    rows = _COLOURS[digits].transpose(0, 2, 1).repeat(11, axis=2)[:, :, :32]
    noise = np.random.default_rng(seed).integers(-30, 31, (len(labels), 3, 32, 32))
    return (rows[..., None] + noise).clip(0, 255).astype(np.uint8)


class Banded:
    """A split of banded images, its classes in equal numbers."""

    def __init__(self, count: int, classes: int, seed: int) -> None:
        self.targets = np.arange(count) % classes
        self.images = banded(self.targets, seed).transpose(0, 2, 3, 1)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.targets[index])


def banded_source(classes: int, *, train: int, test: int) -> Source:
    splits = {"train": Banded(train, classes, 0), "test": Banded(test, classes, 1)}
    return Source("banded", f"banded {classes}", tuple(f"class {n}" for n in range(classes)), splits)


def cifar(
    folder: Path, monkeypatch, kind: str, classes: int, *, count: int = 4, draw=None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Files of `count` images each, and what they hold by split. torchvision is told their md5."""
    base, train, test, meta = CIFAR[kind]
    labels_key = "labels" if kind == "CIFAR10" else "fine_labels"
    files, held = {}, {"train": ([], []), "test": ([], [])}
    for seed, file in enumerate([*train, test]):
        labels = [(seed + 3 * n) % classes for n in range(count)]
        images = draw(labels, seed) if draw else pixels(count, seed=seed)
        files[file] = {"data": images.reshape(count, -1), labels_key: labels}
        for kept, new in zip(held["test" if file == test else "train"], (images, labels), strict=True):
            kept.append(new)
    names_key = "label_names" if kind == "CIFAR10" else "fine_label_names"
    files[meta] = {names_key: [f"class {n}" for n in range(classes)]}
    md5 = {file: _pickled(folder / base / file, content) for file, content in files.items()}
    reader = getattr(vision(), kind)
    monkeypatch.setattr(reader, "train_list", [[file, md5[file]] for file in train])
    monkeypatch.setattr(reader, "test_list", [[test, md5[test]]])
    monkeypatch.setattr(reader, "meta", {"filename": meta, "key": names_key, "md5": md5[meta]})
    return {split: (np.concatenate(images), np.concatenate(labels)) for split, (images, labels) in held.items()}


def svhn(folder: Path, monkeypatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Two .mat files, in which the digit 0 has the label 10."""
    listed, held = {}, {}
    for seed, (split, count) in enumerate({"train": 20, "test": 10}.items()):
        images, labels = pixels(count, seed=seed), np.arange(count) % 10
        path = folder / f"{split}_32x32.mat"
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None]})
        listed[split] = ["", path.name, _md5(path)]
        held[split] = (images, labels)
    monkeypatch.setattr(vision().SVHN, "split_list", listed)
    return held


def image_folder(folder: Path, *, side: int = 16, classes: int = 4, train: int = 8, test: int = 4) -> Path:
    """{train,test}/CLASS/N.png; in each image the quadrant of its class is bright."""
    rng = np.random.default_rng(0)
    half = side // 2
    for split, count in (("train", train), ("test", test)):
        for label in range(classes):
            row, column = divmod(label, 2)
            (folder / split / f"quadrant{label}").mkdir(parents=True)
            for n in range(count):
                image = rng.integers(0, 100, (side, side, 3), dtype=np.uint8)
                image[half * row :, half * column :][:half, :half] += 120
                Image.fromarray(image).save(folder / split / f"quadrant{label}" / f"{n}.png")
    return folder


class Drawn:
    """A split whose images are made when asked for; it counts how often, and can fail at one of them."""

    def __init__(self, count: int, *, seed: int = 0, fails_at: int | None = None, error=KeyboardInterrupt) -> None:
        self.images = pixels(count, (2, 3, 3), seed)
        self.targets = [n % 2 for n in range(count)]
        self.fails_at, self.error, self.asked = fails_at, error, []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index == self.fails_at:
            raise self.error
        self.asked.append(index)
        return self.images[index], self.targets[index]


def drawn(*, train: int = 10, test: int = 4, identity: str = "one", **changed) -> Source:
    return Source("drawn", identity, ("even", "odd"), {"train": Drawn(train, **changed), "test": Drawn(test, seed=9)})


def _pickled(path: Path, content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return _md5(path)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
