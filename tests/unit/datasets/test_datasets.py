import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from archloop import protocols
from archloop.errors import InvalidInput, NotFound
from archloop.protocols.model import DatasetSpec
from services.evaluator import datasets
from services.evaluator.datasets import Dataset, shapes
from services.evaluator.datasets import dataset as dataset_module
from services.evaluator.secret import PUBLISHED, Secret

pytestmark = pytest.mark.slow

NAMES = datasets.names()
HELDOUT, OTHER = Secret.of(PUBLISHED), Secret.of("2" * 64)
load = partial(datasets.load, root=Path("/nowhere"), secret=HELDOUT)


def spec(protocol: str, /, **changes: object) -> DatasetSpec:
    return protocols.load(protocol).dataset.model_copy(update=changes)


@pytest.fixture(scope="module", params=NAMES)
def loaded(request: pytest.FixtureRequest) -> tuple[DatasetSpec, Dataset]:
    return spec(request.param), load(spec(request.param))


def test_every_offline_protocol_has_its_images(loaded) -> None:
    asked, dataset = loaded
    assert dataset.train_images.shape == (asked.train, *asked.shape)
    assert dataset.heldout_images.shape == (asked.validation + asked.test, *asked.shape)
    assert dataset.train_labels.shape == (asked.train,)
    assert dataset.heldout_labels.shape == (asked.validation + asked.test,)
    assert dataset.validation == asked.validation


def test_images_are_bytes_over_the_whole_range_and_labels_are_classes(loaded) -> None:
    asked, dataset = loaded
    assert dataset.train_images.dtype == dataset.heldout_images.dtype == np.uint8
    assert dataset.train_images.min() < 10
    assert dataset.train_images.max() > 245
    assert dataset.train_labels.dtype == dataset.heldout_labels.dtype == np.int64
    assert set(dataset.heldout_labels) == set(range(asked.classes))


def test_statistics_normalise_the_training_images(loaded) -> None:
    _, dataset = loaded
    column = (1, -1, 1, 1)
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    normal = (dataset.train_images / 255 - dataset.mean.reshape(column)) / dataset.std.reshape(column)
    assert np.allclose(normal.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(normal.std(axis=(0, 2, 3)), 1, atol=1e-4)


def test_no_image_is_in_two_splits(loaded) -> None:
    _, dataset = loaded
    parts = np.split(dataset.heldout_images, [dataset.validation])
    splits = [{image.tobytes() for image in part} for part in (dataset.train_images, *parts)]
    assert all(not one & other for one, other in combinations(splits, 2))


def test_every_split_holds_the_classes_in_equal_numbers(loaded) -> None:
    asked, dataset = loaded
    parts = np.split(dataset.heldout_labels, [dataset.validation])
    for labels in (dataset.train_labels, *parts):
        counts = np.bincount(labels, minlength=asked.classes)
        assert np.ptp(counts) <= 1


def test_neighbouring_images_are_not_sorted_by_class(loaded) -> None:
    _, dataset = loaded
    repeats = np.mean(dataset.train_labels[1:] == dataset.train_labels[:-1])
    assert repeats < 0.2


def test_equal_specs_give_equal_bytes_and_another_seed_other_ones(loaded) -> None:
    asked, dataset = loaded
    again = load(asked)
    assert again.sha256 == dataset.sha256
    assert np.array_equal(again.heldout_images, dataset.heldout_images)
    assert load(asked.model_copy(update={"seed": asked.seed + 1})).sha256 != dataset.sha256


def test_another_secret_holds_out_other_images(loaded) -> None:
    asked, dataset = loaded
    other = load(asked, secret=OTHER)
    splits = [{image.tobytes() for image in one.heldout_images} for one in (dataset, other)]
    drawn = asked.name == "shapes"
    assert dataset.public is not drawn
    share = len(splits[0] & splits[1]) / len(splits[0])
    expected = 0 if drawn else (asked.validation + asked.test) / {"digits": 1797, "mnist5k": 5000}[asked.name]
    assert share == pytest.approx(expected, abs=0.06)
    assert np.array_equal(other.train_images, dataset.train_images) is drawn


@pytest.mark.parametrize(
    ("protocol", "sha256"),
    [
        ("shapes", "613f0665fafd63de62c614658fdcaab6c1f27871c2ff9dd8ff0b27a1020bcf1b"),
        ("shapes32", "45548665003e8571e6ec74eaf26ff04ceca857573a03716ee246a45c3f211eab"),
    ],
)
def test_the_training_shapes_are_public_and_the_same_everywhere(protocol, sha256) -> None:
    dataset = load(spec(protocol), secret=OTHER)
    assert hashlib.sha256(dataset.train_images.tobytes() + dataset.train_labels.tobytes()).hexdigest() == sha256


def _generators() -> Iterator[tuple[str, np.random.Generator]]:
    """What somebody draws from who knows the code, the protocol and everything else but the secret."""
    public = np.random.default_rng(0)
    yield from ((f"stream {n} of the seed", stream) for n, stream in enumerate(public.spawn(8)))
    yield from ((f"seed {n}", np.random.default_rng(n)) for n in range(8))
    yield from (
        (f"seed {n}, stream {k}", s) for n in range(1, 5) for k, s in enumerate(np.random.default_rng(n).spawn(3))
    )
    keyed = {
        "none": Secret(b""),
        "the protocol": Secret.of(protocols.load("shapes").sha256),
        "zeros": Secret(bytes(32)),
    }
    yield from (
        (f"{name} as secret, for {split}", secret.generator("draw", f"shapes/0/{split}"))
        for name, secret in keyed.items()
        for split in ("train", "validation", "test")
    )
    yield from ((f"the id as {kind}", s.generator("draw", "shapes/0/validation")) for kind, s in
                (("text", Secret(HELDOUT.id.encode())), ("bytes", Secret(bytes.fromhex(HELDOUT.id)))))  # fmt: skip
    yield from ((f"key {n} of the generator", np.random.Generator(np.random.Philox(key=n))) for n in range(4))
    yield from ((f"another purpose: {one}", HELDOUT.generator(one, "shapes/0/validation")) for one in ("order", "view"))


@pytest.mark.parametrize("rng", [pytest.param(rng, id=name) for name, rng in _generators()])
def test_held_out_shapes_cannot_be_drawn_again_without_the_secret(rng) -> None:
    asked = spec("shapes")
    options = shapes.ShapesOptions.model_validate(asked.options)
    mine = shapes._draw(asked, options, asked.validation, rng)
    heldout = load(asked)
    assert {i.tobytes() for i in mine.images}.isdisjoint(i.tobytes() for i in heldout.heldout_images)
    same = np.mean(mine.labels == heldout.heldout_labels[: asked.validation])
    assert same < 0.2


def test_the_hash_sees_a_single_pixel_and_the_boundary_of_the_splits() -> None:
    dataset = load(spec("digits"))
    arrays = [dataset.train_images.copy(), dataset.train_labels, dataset.heldout_images, dataset.heldout_labels]
    assert Dataset(*arrays, validation=dataset.validation).sha256 == dataset.sha256
    assert Dataset(*arrays, validation=dataset.validation + 1).sha256 != dataset.sha256
    arrays[0][0, 0, 0, 0] ^= 1
    assert Dataset(*arrays, validation=dataset.validation).sha256 != dataset.sha256


def test_a_longer_training_split_leaves_the_held_out_shapes_as_they_were() -> None:
    short, long = (load(spec("shapes", train=n)) for n in (100, 200))
    assert np.array_equal(short.heldout_images, long.heldout_images)


def test_an_unknown_data_set_names_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"'imagenet'.*digits, mnist5k, shapes"):
        load(spec("digits", name="imagenet"))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("digits", {"train": 1500}, r"train \+ validation \+ test of digits: 2040 .* at most the 1797 images"),
        ("mnist5k", {"test": 4000}, r"train \+ validation \+ test of mnist5k: 8000 .* at most the 5000 images"),
        ("digits", {"classes": 12}, r"dataset.classes of digits: 12 .* expected 10"),
        ("mnist5k", {"shape": (1, 32, 32)}, r"dataset.shape of mnist5k: \(1, 32, 32\) .* \(1, 28, 28\)"),
        ("digits", {"shape": (1, 12, 12)}, r"dataset.shape of digits: \(1, 12, 12\) .* multiple of 8"),
        ("digits", {"shape": (3, 16, 16)}, r"dataset.shape of digits: \(3, 16, 16\)"),
        ("shapes", {"shape": (1, 16, 16)}, r"dataset.shape of shapes: \(1, 16, 16\) .* \(3, S, S\)"),
        ("shapes", {"classes": 11}, r"dataset.classes of shapes: 11 .* at most 10"),
        ("shapes", {"options": {"nose": 0.1}}, "dataset.options of shapes.*nose"),
        ("shapes", {"options": {"radius": [0.4, 0.2]}}, "dataset.options of shapes.*radius"),
        ("mnist5k", {"options": {"noise": 0.1}}, "dataset.options of mnist5k.*none"),
    ],
)
def test_a_spec_that_cannot_be_met_names_the_field_the_value_and_what_would_be_right(name, changes, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        load(spec(name, **changes))


def test_statistics_are_those_of_a_copy_as_floats_however_the_images_are_cut(monkeypatch) -> None:
    monkeypatch.setattr(dataset_module, "_PIXELS_AT_ONCE", 1000)
    dataset = load(spec("shapes32"))
    pixels = dataset.train_images / np.float32(255)
    assert np.array_equal(dataset.mean, pixels.mean((0, 2, 3), dtype=np.float64).astype(np.float32))
    assert np.array_equal(dataset.std, pixels.std((0, 2, 3), dtype=np.float64).astype(np.float32))
