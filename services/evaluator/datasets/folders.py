"""Image folders, {train,test}/CLASS/*.png or *.jpg, in torchvision's order and by its transforms, with Pillow alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archloop.errors import InvalidInput, Misconfigured

if TYPE_CHECKING:
    from PIL import Image

FORM = "a folder {train,test}/CLASS/*.png or *.jpg"
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
_DEEPER = ("I", "F")


@dataclass(frozen=True)
class Folder:
    """Pairs of PIL image, in RGB, and class number, sorted by class, then by path.

    `side` is the side, in pixels, of the square that images are brought to; None leaves them as they are.
    """

    classes: tuple[str, ...]
    samples: tuple[tuple[Path, int], ...]
    side: int | None = None

    @cached_property
    def targets(self) -> list[int]:
        """Class numbers, in the order of the samples."""
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple["Image.Image", int]:
        path, label = self.samples[index]
        return _decoded(path, self.side), label


def is_one(files: Path) -> bool:
    """Return whether there are folders for both splits."""
    return all((files / split).is_dir() for split in ("train", "test"))


def folder(files: Path, split: str, side: int | None) -> Folder:
    """Return one split of an image folder.

    Raises InvalidInput where it has no class, or a class without images; Misconfigured without Pillow.
    """
    pillow_version()
    root = files / split
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir())) if root.is_dir() else ()
    if not classes:
        raise InvalidInput("--from", str(files), f"{FORM}; there is no class in {split}")
    samples = tuple((path, label) for label, name in enumerate(classes) for path in _images(root / name))
    held = {label for _, label in samples}
    empty = [name for label, name in enumerate(classes) if label not in held]
    if empty:
        raise InvalidInput("--from", str(files), f"{FORM}; there is no image in {split}/{empty[0]}")
    return Folder(classes, samples, side)


def squared(image: "Image.Image", side: int) -> "Image.Image":
    """Resize the shorter side to `side` and cut out the middle, as torchvision's Resize and CenterCrop do."""
    from PIL import Image

    short = min(image.size)
    if short != side:
        width, height = (side if length == short else int(side * length / short) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (round((length - side) / 2) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def pillow_version() -> str:
    """Return Pillow's version. Raises Misconfigured where it is missing."""
    try:
        import PIL
    except ImportError as error:
        # The extra `data` has Pillow too, and torchvision beside it, which is of no use here and seldom fits torch.
        raise Misconfigured("pillow", f"cannot be imported ({error}); pip install 'archloop[cli]'") from error
    return PIL.__version__


def _images(root: Path) -> Iterator[Path]:
    for place, _, names in sorted(os.walk(root, followlinks=True)):
        yield from (Path(place, name) for name in sorted(names) if name.lower().endswith(_EXTENSIONS))


def _decoded(path: Path, side: int | None) -> "Image.Image":
    """Return the first picture of a file in RGB of 8 bits. Raises InvalidInput that names an unreadable file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            read = _shallow(image).convert("RGB")
            return read if side is None else squared(read, side)
    except Exception as error:  # a decoder raises anything: TypeError, struct.error, zlib.error were seen
        said = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInput("image", str(path), f"a readable one: {said[:200]}") from error


def _shallow(image: "Image.Image") -> "Image.Image":
    """Scale 16 bits of grey to 8, where Pillow would cut off high values. Raises ValueError for unknown ranges."""
    from PIL import Image

    if image.mode in _DEEPER and image.format != "PPM":  # which Pillow brings to 16 bits itself
        raise ValueError(f"its mode is {image.mode}; only 8 bits a channel and 16 bits of grey have a known range")
    if image.mode not in (*_DEEP_GREY, *_DEEPER):
        return image
    levels = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
