"""Prepared data sets: made once, whatever interrupts it, and never read when damaged."""

import fcntl
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound
from archloop.protocols.model import DatasetSpec
from services.evaluator import datasets
from services.evaluator.datasets import prepared, preparing
from services.evaluator.secret import Secret
from tests.unit.evaluator.miniature import drawn
from tests.unit.evaluator.support import HELDOUT

load = partial(datasets.load, secret=HELDOUT)
ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from services.evaluator.datasets import preparing
from tests.unit.evaluator.miniature import drawn

preparing.CHUNK = 4
kill = lambda split, done, total: done == 8 and os.kill(os.getpid(), signal.SIGKILL)
preparing.prepare(Path(sys.argv[1]), "mine", drawn, kill)
"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK", 4)


def prepare(root: Path, source=None, name: str = "mine") -> prepared.Manifest:
    return preparing.prepare(root, name, lambda: source or drawn(), lambda *_: None)


@pytest.fixture
def path(tmp_path):
    prepare(tmp_path)
    return tmp_path / "mine"


def spec(**changed) -> DatasetSpec:
    values = {"name": "mine", "shape": (2, 3, 3), "classes": 2, "train": 6, "validation": 4, "test": 4}
    return DatasetSpec(**(values | changed))


def test_images_are_mapped_as_they_were_and_nobody_can_write_to_them(path):
    stored, source = prepared.opened(path), drawn()
    for split, of in (("train", stored.train), ("test", stored.test)):
        assert isinstance(of.images, np.memmap)
        assert not of.images.flags.writeable
        assert (of.images.dtype, of.labels.dtype) == (np.uint8, np.int64)
        assert [image.tobytes() for image in of.images] == [
            source.pixels(split, n).tobytes() for n in range(len(of.images))
        ]
        assert of.labels.tolist() == source.splits[split].targets


def test_the_manifest_says_what_is_there(path):
    manifest = prepared.manifest(path)
    assert (manifest.name, manifest.shape, manifest.classes) == ("mine", (3, 2, 3), ("even", "odd"))
    assert manifest.counts == {"train": 10, "test": 4}
    assert sorted(manifest.files) == sorted(prepared.array_files())
    assert [each.sha256 for each in prepared.prepared(path.parent)] == [manifest.sha256]


def test_progress_is_told_from_nothing_to_all_of_each_split(tmp_path):
    told = []
    preparing.prepare(tmp_path, "mine", drawn, lambda *step: told.append(step))
    assert told == [
        ("train", 0, 10), ("train", 4, 10), ("train", 8, 10), ("train", 10, 10), ("test", 0, 4), ("test", 4, 4)
    ]  # fmt: skip


def test_what_is_prepared_is_not_decoded_again(path):
    def unneeded():
        raise AssertionError

    assert preparing.prepare(path.parent, "mine", unneeded, lambda *_: None) == prepared.manifest(path)


def test_an_interrupted_preparation_goes_on_and_comes_to_the_same_bytes(path, tmp_path):
    root = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        prepare(root, drawn(fails_at=6))
    assert not (root / "mine").exists()
    second = drawn()
    manifest = prepare(root, second)
    assert min(second.splits["train"].asked[1:]) == 4  # after the first image, which tells the shape
    assert manifest.sha256 == prepared.manifest(path).sha256
    assert sorted(file.name for file in root.iterdir()) == ["mine"]
    assert sorted(file.name for file in (root / "mine").iterdir()) == sorted([*prepared.array_files(), "manifest.json"])


def test_a_killed_preparation_goes_on_too(path, tmp_path):
    root = tmp_path / "other"
    killed = subprocess.run([sys.executable, "-c", KILLED, root], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    second = drawn()
    assert prepare(root, second).sha256 == prepared.manifest(path).sha256
    assert second.splits["train"].asked == [0, 8, 9]


def test_another_source_starts_anew_and_so_does_the_first_after_it(path, tmp_path):
    root = tmp_path / "other"
    for source in (drawn(fails_at=9), drawn(fails_at=1, seed=5, identity="two")):
        with pytest.raises(KeyboardInterrupt):
            prepare(root, source)
    assert prepare(root).sha256 == prepared.manifest(path).sha256


def test_two_processes_do_not_prepare_the_same(tmp_path):
    (tmp_path / ".mine.partial").mkdir()
    other = os.open(tmp_path / ".mine.partial", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match=r"\.mine\.partial: another process"):
        prepare(tmp_path)
    os.close(other)
    assert prepare(tmp_path).counts["train"] == 10


def test_an_image_of_another_shape_is_named(tmp_path):
    source = drawn()
    images = list(source.splits["train"].images)
    images[7] = np.zeros((5, 3, 3), np.uint8)
    source.splits["train"].images = images
    with pytest.raises(InvalidInput, match=r"shape of train image 7: \(3, 5, 3\) .*\(3, 2, 3\).*--side"):
        prepare(tmp_path, source)


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", ".hidden", "Mine", "x" * 64])
def test_a_name_that_is_no_plain_word_never_becomes_a_path(tmp_path, name):
    with pytest.raises(InvalidInput, match="name of a data set"):
        prepared.folder(tmp_path, name)
    with pytest.raises(InvalidInput, match="name of a data set"):
        load(spec().model_copy(update={"name": name}), tmp_path)


@pytest.mark.parametrize("file", prepared.array_files())
def test_a_flipped_bit_is_found_and_its_file_named(path, file):
    content = bytearray((path / file).read_bytes())
    content[-1] ^= 1
    (path / file).write_bytes(content)
    for reads in (lambda: prepared.opened(path), lambda: load(spec(), path.parent), lambda: prepare(path.parent)):
        with pytest.raises(IntegrityError, match=f"{file}: sha256 is .*archloop data prepare mine"):
            reads()


@pytest.mark.parametrize("file", [*prepared.array_files(), prepared.MANIFEST])
def test_a_missing_file_is_named(path, file):
    (path / file).unlink()
    with pytest.raises(IntegrityError, match=file):
        prepared.opened(path)


def test_a_manifest_that_is_none_is_named(path):
    (path / prepared.MANIFEST).write_text("{}")
    with pytest.raises(IntegrityError, match=r"mine/manifest\.json"):
        prepared.opened(path)


def test_what_was_not_prepared_is_said_with_the_place_and_the_command(tmp_path):
    with pytest.raises(NotFound, match=rf"'cifar10'.*digits.*{tmp_path}/cifar10.*archloop data prepare cifar10"):
        load(spec(name="cifar10"), tmp_path)


def test_training_and_validation_come_from_the_training_split_and_test_from_the_test_split(tmp_path):
    source = drawn(train=40, test=12)
    prepare(tmp_path, source)
    asked = spec(shape=(3, 2, 3), train=24, validation=16, test=12)
    dataset = load(asked, tmp_path)
    train, heldout = ({image.tobytes() for image in of} for of in (dataset.train_images, dataset.heldout_images[:16]))
    test = {image.tobytes() for image in dataset.heldout_images[16:]}
    of_train, of_test = ({source.pixels(split, n).tobytes() for n in range(count)} for split, count in
                         (("train", 40), ("test", 12)))  # fmt: skip
    assert (train | heldout, test) == (of_train, of_test)
    assert not train & heldout
    assert not isinstance(dataset.train_images, np.memmap)
    assert load(asked, tmp_path).sha256 == dataset.sha256
    assert load(asked.model_copy(update={"seed": 1}), tmp_path).sha256 != dataset.sha256


def test_another_secret_holds_back_other_images_of_the_training_split(tmp_path):
    prepare(tmp_path, drawn(train=40, test=12))
    asked = spec(shape=(3, 2, 3), train=24, validation=16, test=6)
    first, second = (load(asked, tmp_path, secret=secret) for secret in (HELDOUT, Secret.of("2" * 64)))
    for part in (slice(16), slice(16, None)):
        assert {i.tobytes() for i in first.heldout_images[part]} != {i.tobytes() for i in second.heldout_images[part]}
    assert first.public


def test_labels_stay_with_their_images(tmp_path):
    source = drawn(train=40, test=12)
    prepare(tmp_path, source)
    dataset = load(spec(shape=(3, 2, 3), train=30, validation=10, test=5), tmp_path)
    label = {
        source.pixels(split, n).tobytes(): source.label(split, n)
        for split in prepared.SPLITS
        for n in range(source.count(split))
    }
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.heldout_images, dataset.heldout_labels),
    ):
        assert [label[image.tobytes()] for image in images] == labels.tolist()


def test_every_split_has_the_classes_in_the_shares_of_the_whole(tmp_path):
    source = drawn(train=400, test=100)
    for split in source.splits.values():
        split.targets = [int(n % 5 == 0) for n in range(len(split))]
    prepare(tmp_path, source)
    dataset = load(spec(shape=(3, 2, 3), train=300, validation=100, test=50), tmp_path)
    for labels, expected in ((dataset.train_labels, 60), (dataset.heldout_labels[:100], 20),
                             (dataset.heldout_labels[100:], 10)):  # fmt: skip
        assert abs(labels.sum() - expected) <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 7}, r"dataset.train \+ validation of mine: 11 .* at most the 10 of its train split"),
        ({"test": 5}, "dataset.test of mine: 5 .* at most the 4 of its test split"),
        ({"classes": 3}, "dataset.classes of mine: 3 .* expected 2"),
        ({"options": {"noise": 1}}, "dataset.options of mine.*none"),
        ({"shape": (3, 3, 3)}, r"dataset.shape of mine: \(3, 3, 3\) .* \(3, 2, 3\)"),
        ({"sha256": "0" * 64}, "dataset.sha256 of mine.*of what was prepared here"),
    ],
)
def test_a_spec_that_cannot_be_met_names_the_field_the_value_and_what_would_be_right(path, changes, message):
    with pytest.raises(InvalidInput, match=message):
        load(spec(**({"shape": (3, 2, 3)} | changes)), path.parent)


def test_a_protocol_can_be_bound_to_what_was_prepared(path):
    bound = partial(spec, shape=(3, 2, 3), sha256=prepared.manifest(path).sha256)
    assert len(load(bound(), path.parent).train_labels) == 6
