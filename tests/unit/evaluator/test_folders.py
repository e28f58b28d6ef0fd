"""Image folders are read with Pillow alone, to the byte as torchvision reads them."""

import builtins
import os
import struct
import sys
import zlib
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from archloop.errors import InvalidInput, Misconfigured
from services.evaluator.datasets import folders, prepared, preparing, sources
from tests.support import archloop
from tests.torchvision import importable
from tests.unit.evaluator import miniature

pytestmark = pytest.mark.slow

SIZES = [(32, 32), (60, 20), (20, 60), (7, 9), (33, 32), (101, 37), (10, 40), (1, 5)]
MODES = ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr"]


def noise(size: tuple[int, int], mode: str = "RGB", seed: int = 0) -> Image.Image:
    width, height = size
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels).convert(mode)


def saved(folder, images: dict[str, Image.Image]):
    """The same images in both splits."""
    for split in prepared.SPLITS:
        for name, image in images.items():
            path = folder / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return folder


def as_torchvision_reads(files, side: int | None):
    """Paths, classes and pixels of its ImageFolder with its Resize and CenterCrop."""
    with importable():
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import CenterCrop, Compose, Resize

        found = ImageFolder(files / "train", transform=side and Compose([Resize(side), CenterCrop(side)]))
        return found.samples, found.classes, [np.asarray(image) for image, _ in found]


def assert_as_torchvision(files, side: int | None) -> None:
    samples, classes, images = as_torchvision_reads(files, side)
    found = folders.folder(files, "train", side)
    assert [(str(path), label) for path, label in found.samples] == samples
    assert list(found.classes) == classes
    for (image, label), expected, (path, target) in zip(found, images, samples, strict=True):
        assert np.array_equal(np.asarray(image), expected), path
        assert label == target


@pytest.mark.parametrize("side", [5, 16, 32, 48])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_images_of_any_size_are_brought_to_the_same_square(tmp_path, size, side):
    assert_as_torchvision(saved(tmp_path, {"a/0.png": noise(size), "a/1.jpg": noise(size, seed=1)}), side)


@pytest.mark.parametrize("mode", MODES)
def test_images_of_any_mode_come_out_in_the_same_colours(tmp_path, mode):
    kind = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    assert_as_torchvision(saved(tmp_path, {f"a/0.{kind}": noise((24, 20), mode)}), None)


def test_classes_and_files_come_in_the_same_order(tmp_path):
    names = [
        "b/2.png",
        "b/10.PNG",
        "b/deep/er/0.jpg",
        "b/deep/9.bmp",
        "B/1.jpeg",
        "a b/1.webp",
        "a b/0.tiff",
        "é/0.ppm",
    ]
    files = saved(tmp_path, {name: noise((4, 4), seed=n) for n, name in enumerate(names)})
    (files / "train" / "b" / "notes.txt").write_text("no image")
    (files / "train" / "loose.png").write_bytes(b"no class")
    assert_as_torchvision(files, None)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257, 1), (128 * 257, 128), (40_000, 156), (65_535, 255)])
def test_sixteen_bits_of_grey_are_scaled(tmp_path, kind, level, expected):
    image = Image.fromarray(np.full((6, 6), level, np.uint16))
    assert image.mode == "I;16"
    read, _ = folders.folder(saved(tmp_path, {f"a/0.{kind}": image}), "train", None)[0]
    assert np.asarray(read).tolist() == [[[expected] * 3] * 6] * 6


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257, 1), (40_000, 156), (65_535, 255)])
@pytest.mark.parametrize("kind", ["I;16B", "pgm"])
def test_sixteen_bits_of_grey_in_any_order_of_bytes(tmp_path, kind, level, expected):
    files = saved(tmp_path, {"a/0.pgm": noise((6, 6), "L")})
    for path in files.glob("*/a/0.pgm"):
        if kind == "pgm":
            path.write_bytes(b"P5 6 6 65535\n" + level.to_bytes(2, "big") * 36)
        else:
            raw = Image.frombytes("I;16B", (6, 6), level.to_bytes(2, "big") * 36)
            raw.save(path.with_suffix(".tif"))
            path.unlink()
    read, _ = folders.folder(files, "train", None)[0]
    assert np.asarray(read).tolist() == [[[expected] * 3] * 6] * 6


def _png(depth: int, colour: int, row: bytes) -> bytes:
    """A picture of one row, two pixels wide."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_png(1, 0, b"\x40"), [0, 255]),
        (_png(2, 0, b"\x60"), [85, 170]),
        (_png(4, 0, b"\x0f"), [0, 255]),
        (_png(16, 0, b"\x80\x80\xff\xff"), [128, 255]),
        (_png(16, 2, b"\x80\x80" * 3 + b"\xff\xff" * 3), [128, 255]),
        (_png(16, 4, b"\x80\x80\0\0\xff\xff\0\0"), [128, 255]),
        (_png(16, 6, b"\x80\x80" * 3 + b"\0\0" + b"\xff\xff" * 4), [128, 255]),
        (_png(8, 4, b"\x80\0\xff\xff"), [128, 255]),
        (_png(8, 6, b"\x80\x80\x80\0\xff\xff\xff\xff"), [128, 255]),
    ],
    ids=["1", "2", "4", "16", "16 RGB", "16 LA", "16 RGBA", "LA", "RGBA"],
)
def test_a_png_of_any_depth_fills_the_levels_and_alpha_is_left_out(tmp_path, content, expected):
    files = saved(tmp_path, {"a/0.png": noise((2, 1))})
    for path in files.glob("*/a/0.png"):
        path.write_bytes(content)
    read, _ = folders.folder(files, "train", None)[0]
    assert np.asarray(read)[0].tolist() == [[level] * 3 for level in expected]


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_of_several_pictures_the_first_is_taken_as_torchvision_does(tmp_path, kind):
    first, second = noise((8, 8)), noise((8, 8), seed=1)
    files = saved(tmp_path, {f"a/0.{kind}": first})
    for path in files.glob(f"*/a/0.{kind}"):
        options = {"lossless": True} if kind == "webp" else {}
        first.save(path, save_all=True, append_images=[second], **options)
    assert_as_torchvision(files, None)
    assert np.array_equal(np.asarray(folders.folder(files, "train", None)[0][0]), np.asarray(first))


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
def test_a_note_that_a_camera_was_turned_is_passed_over_as_torchvision_does(tmp_path, orientation):
    image, exif = noise((12, 8)), Image.Exif()
    exif[0x0112] = orientation
    files = saved(tmp_path, {"a/0.png": image})
    for path in files.glob("*/a/0.png"):
        image.save(path, exif=exif)
    assert_as_torchvision(files, None)
    assert folders.folder(files, "train", None)[0][0].size == (12, 8)


@pytest.mark.parametrize("transparency", [0, b"\0\x80\xff"])
def test_a_palette_with_transparency_gives_its_colours(tmp_path, transparency):
    files = saved(tmp_path, {"a/0.png": noise((8, 8), "P")})
    for path in files.glob("*/a/0.png"):
        noise((8, 8), "P").save(path, transparency=transparency)
    assert_as_torchvision(files, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        b"<html>404</html>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"P5 0 0 255\n",
        b"P5 99999 99999 255\n",
        b"P5 2 2 70000\n\0\0\0\0",
        b"II*\0\x08\0\0\0",
        _png(8, 0, b"\0\0")[:45],
        _png(3, 0, b"\0\0"),
        _png(8, 0, b"\0\0").replace(b"IHDR", b"JUNK"),
    ],
)
def test_what_is_no_whole_image_is_refused_by_name_in_one_line(tmp_path, content):
    files = saved(tmp_path, {"a/0.png": noise((2, 2))})
    path = files / "train" / "a" / "0.png"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"image: .*0\.png") as raised:
        folders.folder(files, "train", None)[0]
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (os.mkfifo, InvalidInput),
        (lambda path: path.symlink_to("/dev/zero"), InvalidInput),
        (lambda path: path.symlink_to("nowhere"), OSError),
        (lambda path: path.symlink_to(path), OSError),
        (lambda path: path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X"), InvalidInput),
    ],
    ids=["pipe", "device", "link to nothing", "link to itself", "resource fork"],
)
def test_what_is_named_as_an_image_and_is_none_is_refused_by_name(tmp_path, make, error):
    files = saved(tmp_path / "files", {"a/1.png": noise((2, 2))})
    make(files / "train" / "a" / "._1.png")
    with pytest.raises(error, match=r"\._1\.png"):
        preparing.prepare(tmp_path, "mine", lambda: sources.source("mine", files, download=False), lambda *_: None)


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "bmp", "webp", "ppm"])
def test_damaged_images_are_read_or_refused_and_nothing_else(tmp_path, kind):
    files = saved(tmp_path, {f"a/0.{kind}": noise((24, 24))})
    path = files / "train" / "a" / f"0.{kind}"
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    found = folders.folder(files, "train", None)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, len(broken), 4):
            broken[place] = rng.integers(256)
        path.write_bytes(broken)
        try:
            outcomes.add(found[0][0].mode)
        except InvalidInput:
            outcomes.add("refused")
    assert "refused" in outcomes
    assert outcomes <= {"RGB", "refused"}


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_levels_of_an_unknown_range_are_refused(tmp_path, dtype):
    files = saved(tmp_path, {"a/0.tiff": Image.fromarray(np.ones((4, 4), dtype))})
    with pytest.raises(InvalidInput, match=r"image: .*0\.tiff.*its mode is [IF]; only 8 bits"):
        folders.folder(files, "train", None)[0]


def test_an_image_that_ends_too_early_is_named(tmp_path):
    files = saved(tmp_path, {"a/0.png": noise((64, 64)), "a/1.jpg": noise((64, 64)), "a/2.tiff": noise((64, 64)),
                             "a/3.bmp": noise((64, 64)), "a/4.webp": noise((64, 64))})  # fmt: skip
    found = folders.folder(files, "train", None)
    assert len(found.samples) == 5
    for index, (path, _) in enumerate(found.samples):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InvalidInput, match=rf"image: .*{path.name}"):
            found[index]


@pytest.mark.parametrize(
    ("names", "missing"),
    [([], "no class in train"), (["train/loose.png"], "no class in train"), (["train/a/x.txt"], "no image in train/a"),
     (["train/a/0.png"], "no class in test"), (["train/a/0.png", "test/a/x"], "no image in test/a"),
     (["train/a/0.png", "train/b/x", "test/a/0.png"], "no image in train/b")],
)  # fmt: skip
def test_a_folder_of_another_form_is_refused_with_what_is_missing(tmp_path, names, missing):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"never opened")
    with pytest.raises(InvalidInput, match=rf"--from: .*\{{train,test\}}/CLASS.*{missing}"):
        sources.source("mine", tmp_path, download=False)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "mine"])
def test_a_known_data_set_may_lie_there_as_images_without_torchvision(tmp_path, name):
    files = miniature.image_folder(tmp_path / "files")
    done = archloop("data", "prepare", name, "--from", files, "--side", 8, "--root", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name}  32 train + 16 test  3 x 8 x 8  4 classes  sha256 ")
    manifest = prepared.manifest(tmp_path / "data" / name)
    assert manifest.source.startswith("image folder files as read by pillow ")


def test_nothing_but_pillow_is_imported(tmp_path, monkeypatch):
    files = miniature.image_folder(tmp_path / "files")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    preparing.prepare(tmp_path, "mine", lambda: sources.source("mine", files, download=False), lambda *_: None)
    with pytest.raises(ImportError):
        import_module("torchvision")


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    files = miniature.image_folder(tmp_path)
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "PIL":
            raise ImportError("No module named 'PIL'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Misconfigured, match=r"pillow: .*archloop\[cli\]"):
        sources.source("mine", files, download=False)
