"""torchvision's own formats and image folders, in miniature: what is prepared is what torchvision reads."""

import builtins
import sys
import urllib.error
import urllib.request
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from archloop.errors import InvalidInput, Misconfigured, Unavailable
from services.evaluator.datasets import prepared, preparing, sources
from tests.support import archloop as plain_archloop
from tests.support import refusal
from tests.torchvision import importable, side
from tests.unit.evaluator import miniature


@pytest.fixture(autouse=True)
def torchvision_here():
    with importable():
        yield


def decoded(root, name, files, **options):
    preparing.prepare(root, name, lambda: sources.source(name, files, download=False, **options), lambda *_: None)
    return prepared.opened(root / name)


def archloop(*arguments, settings=MappingProxyType({})):
    """The command, with torchvision."""
    path = side()
    beside = {} if path is None else {"PYTHONPATH": path}
    return plain_archloop(*arguments, settings=beside | dict(settings))


def assert_holds(stored, held):
    for split, (images, labels) in held.items():
        of = getattr(stored, split)
        assert np.array_equal(of.images, images)
        assert np.array_equal(of.labels, labels)


@pytest.mark.parametrize(("name", "kind", "classes"), [("cifar10", "CIFAR10", 10), ("cifar100", "CIFAR100", 100)])
def test_cifar_is_kept_to_the_byte_with_its_class_names(tmp_path, monkeypatch, name, kind, classes):
    held = miniature.cifar(tmp_path / "files", monkeypatch, kind, classes)
    stored = decoded(tmp_path, name, tmp_path / "files")
    assert_holds(stored, held)
    assert stored.manifest.classes == tuple(f"class {n}" for n in range(classes))
    assert stored.manifest.shape == (3, 32, 32)
    assert stored.manifest.source.startswith(f"{name} as read by torchvision ")


def test_svhn_has_a_zero_where_its_files_say_ten(tmp_path, monkeypatch):
    held = miniature.svhn(tmp_path, monkeypatch)
    stored = decoded(tmp_path, "svhn", tmp_path)
    assert_holds(stored, held)
    assert stored.manifest.classes == tuple("0123456789")


def test_an_image_folder_is_kept_to_the_byte_with_its_folders_as_classes(tmp_path):
    files = miniature.image_folder(tmp_path / "files")
    stored = decoded(tmp_path, "mine", files)
    assert stored.manifest.classes == tuple(f"quadrant{n}" for n in range(4))
    assert stored.manifest.counts == {"train": 32, "test": 16}
    third = np.asarray(Image.open(files / "test" / "quadrant3" / "0.png")).transpose(2, 0, 1)
    assert np.array_equal(stored.test.images[12], third)
    assert stored.test.labels.tolist() == sorted([0, 1, 2, 3] * 4)


def test_images_of_a_folder_are_brought_to_one_square(tmp_path):
    files = miniature.image_folder(tmp_path / "files")
    wide = Image.fromarray(np.full((20, 60, 3), 200, np.uint8))
    wide.save(files / "train" / "quadrant0" / "wide.jpg")
    stored = decoded(tmp_path, "mine", files, side=10)
    assert stored.manifest.shape == (3, 10, 10)
    assert stored.manifest.counts["train"] == 33
    assert "10 x 10" in stored.manifest.source


def test_files_of_another_md5_are_refused_with_what_would_be_right(tmp_path, monkeypatch):
    miniature.cifar(tmp_path, monkeypatch, "CIFAR10", 10)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"something else")
    with pytest.raises(InvalidInput, match=rf"--from: '{tmp_path}'.*files of cifar10.*md5"):
        sources.source("cifar10", tmp_path, download=False)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_without_a_network_it_says_what_was_to_be_fetched_and_what_else_can_be_done(tmp_path, monkeypatch, name):
    def unreachable(*_args, **_options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(Unavailable, match=rf"{name} could not be fetched into {tmp_path}.*no route.*--no-download"):
        sources.source(name, tmp_path, download=True)


def test_a_side_is_refused_where_images_are_kept_as_they_are(tmp_path):
    with pytest.raises(InvalidInput, match=r"--side: 64 .*cifar10.*`resize`"):
        sources.source("cifar10", tmp_path, download=False, side=64)


def test_a_folder_without_images_is_refused_with_the_form_of_one(tmp_path):
    with pytest.raises(InvalidInput, match=r"--from: .*\{train,test\}/CLASS"):
        sources.source("mine", tmp_path, download=False)


def test_a_class_that_only_one_split_has_is_refused(tmp_path):
    files = miniature.image_folder(tmp_path)
    (files / "test" / "quadrant3").rename(files / "test" / "other")
    with pytest.raises(InvalidInput, match=r"classes in .*test.*other.*quadrant3"):
        sources.source("mine", files, download=False)


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    files = miniature.image_folder(tmp_path / "files")
    (files / "train" / "quadrant2" / "3.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"image: .*train/quadrant2/3\.png"):
        decoded(tmp_path, "mine", files)


def test_a_changed_file_is_another_source(tmp_path):
    files = miniature.image_folder(tmp_path)
    first = sources.source("mine", files, download=False).identity
    assert sources.source("mine", files, download=False).identity == first
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(files / "train" / "quadrant0" / "0.png")
    assert sources.source("mine", files, download=False).identity != first
    assert sources.source("mine", files, download=False, side=8).identity != first


def test_without_torchvision_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("torchvision"):
            raise ImportError("No module named 'torchvision'")
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Misconfigured, match=r"torchvision: .*archloop\[data\].*--from.*CLASS.*no torchvision"):
        sources.vision()


def test_a_torchvision_made_for_another_torch_is_told_so(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    found = plain_archloop("data", "prepare", "cifar10", "--from", tmp_path, "--root", tmp_path / "data",
                           settings={"PYTHONPATH": tmp_path})  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.startswith("error [misconfigured] torchvision: is no build for the torch that is installed")


def test_the_command_prepares_lists_and_prepares_no_second_time(tmp_path):
    files = miniature.image_folder(tmp_path / "files")
    first = archloop("data", "prepare", "mine", "--from", files, "--root", tmp_path / "data")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("mine  32 train + 16 test  3 x 16 x 16  4 classes  sha256 ")
    listed = archloop("data", "list", settings={"ARCHLOOP_EVALUATOR_DATA_DIR": tmp_path / "data"})
    assert listed.stdout == first.stdout
    for path in files.rglob("*.png"):
        path.unlink()
    again = archloop("data", "prepare", "mine", "--root", tmp_path / "data", "--from", files)
    assert (again.returncode, again.stdout) == (0, first.stdout)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["mine"], ["--from", "mine", "cifar10, cifar100, svhn"]),
        (["cifar10", "--no-download"], ["--from", "files of cifar10", "md5"]),
        (["Mine", "--from", "."], ["name of a data set", "Mine"]),
    ],
)
def test_wrong_input_is_one_line_that_names_the_thing(tmp_path, arguments, named):
    line = refusal("data", "prepare", *arguments, "--root", tmp_path)
    assert all(word in line for word in named), line
