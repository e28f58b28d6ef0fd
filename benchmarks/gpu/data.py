"""Images for the parts: a folder or an archive of CIFAR-10, prepared once as a user would; or a few drawn ones."""

import tarfile
from pathlib import Path

import numpy as np

from benchmarks.gpu.given import Given, command

IMAGES = "cifar10images"
_CLASSES, _SIDE = 10, 32


async def prepared(given: Given) -> Path:
    """Return a folder of prepared data sets that holds the images, under the name IMAGES."""
    root = given.folder / "prepared"
    source = unpacked(given.data, given.folder) if given.data else painted(given.folder / "painted")
    await command(
        "-m", "archloop_cli", "data", "prepare", IMAGES, "--from", source, "--side", _SIDE, "--root", root
    )  # fmt: skip
    return root


def unpacked(given: Path, folder: Path) -> Path:
    """Return the folder of images, unpacked where it is an archive."""
    if given.is_dir():
        return given
    target = folder / "images"
    with tarfile.open(given) as archive:
        archive.extractall(target, filter="data")
    return next(path.parent for path in (target / "train", *target.glob("*/train")) if path.is_dir())


def painted(folder: Path) -> Path:
    """Write {train,test}/CLASS/N.png of noise with a bright square in the class's place."""
    from PIL import Image

    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 8)):
        for label in range(_CLASSES):
            row, column = divmod(label, 4)
            (folder / split / f"class{label}").mkdir(parents=True)
            for number in range(count):
                image = random.integers(0, 100, (_SIDE, _SIDE, 3), dtype=np.uint8)
                image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, label % 3] += 150
                Image.fromarray(image).save(folder / split / f"class{label}" / f"{number}.png")
    return folder
