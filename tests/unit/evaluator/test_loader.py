import numpy as np
import pytest
import torch
from PIL import Image

from services.evaluator.harness.loader import Epoch, Normalise
from services.evaluator.harness.task import Task
from tests.torchvision import importable

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (33, 3, 4, 4), dtype=np.uint8))
LABELS = torch.arange(33)


def task(**changed) -> Task:
    values = {
        "shape": (3, 4, 4), "classes": 33, "batch": 8, "epochs": 1, "seed": 1, "flip": False, "threads": 1,
        "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7), "hyperparameters": {"lr": 0.1},
    }  # fmt: skip
    return Task(**(values | changed))


def epoch(**changed) -> Epoch:
    number = changed.pop("epoch", 0)
    return Epoch(IMAGES, LABELS, task(**changed), number)


def test_a_task_crosses_as_json_unchanged():
    for each in (task(), task(resize=8)):
        assert Task.decode(each.encode()) == each


def test_one_pass_gives_every_image_but_a_last_lonely_one():
    batches = list(epoch())
    assert [len(labels) for _, labels in batches] == [8, 8, 8, 8]
    assert len(set(torch.cat([labels for _, labels in batches]).tolist())) == 32
    assert len(epoch()) == 4


def test_a_second_pass_gives_nothing():
    loader = epoch()
    assert len(list(loader)) == 4
    assert list(loader) == []


def test_it_is_its_own_iterator_as_lemurs_is():
    loader = epoch()
    first, _ = next(iter(loader))
    second, _ = next(loader)
    assert not torch.equal(first, second)


def test_batches_are_normalised_float_and_whole_labels():
    inputs, labels = next(epoch())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (task().mean, task().std))
    expected = (IMAGES[labels].double() / 255 - mean) / std
    assert (inputs.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert torch.allclose(inputs.double(), expected, atol=1e-5)


def test_the_order_depends_on_seed_and_epoch_only():
    def order(**changed):
        return torch.cat([labels for _, labels in epoch(**changed)]).tolist()

    torch.manual_seed(99)
    assert order() == order()
    assert order() != order(seed=2)
    assert order() != order(epoch=1)


def test_flip_mirrors_some_images_and_only_mirrors():
    plain, flipped = list(epoch()), list(epoch(flip=True))
    mirrored = 0
    for (inputs, labels), (others, same) in zip(plain, flipped, strict=True):
        assert torch.equal(labels, same)
        for one, other in zip(inputs, others, strict=True):
            assert torch.equal(one, other) or torch.equal(one.flip(-1), other)
            mirrored += not torch.equal(one, other)
    assert 5 < mirrored < 27


@pytest.mark.parametrize("batch", [1, 33, 64])
def test_unusual_batch_sizes_lose_no_image(batch):
    assert sum(len(labels) for _, labels in epoch(batch=batch)) == 33


def test_normalising_leaves_the_images_as_they_are():
    before = IMAGES.clone()
    Normalise(task())(IMAGES)
    assert torch.equal(before, IMAGES)


@pytest.fixture
def v2():
    """torchvision's transforms, by their second interface."""
    with importable():
        from torchvision.transforms import v2

        yield v2


def as_pil(images: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


@pytest.mark.parametrize("side", [3, 4, 7, 32])
def test_resizing_is_torchvisions_of_float_images_to_the_bit(v2, side):
    plain = Normalise(task(mean=(0.0,) * 3, std=(1.0,) * 3, resize=side))
    expected = v2.functional.resize(IMAGES.float(), [side, side], antialias=True)
    assert torch.equal(plain(IMAGES), expected * (1 / 255))


@pytest.mark.parametrize(("shape", "side"), [((32, 32), 256), ((32, 32), 100), ((64, 64), 32), ((97, 97), 40)])
def test_resizing_is_within_one_level_of_torchvisions_of_pil_images(v2, shape, side):
    plain = Normalise(task(mean=(0.0,) * 3, std=(1.0,) * 3, resize=side))
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (4, 3, *shape), dtype=np.uint8))
    whole = v2.Compose([v2.Resize(side), v2.CenterCrop(side), v2.PILToTensor()])
    expected = torch.stack([whole(image) for image in as_pil(images)])
    assert ((plain(images) * 255 - expected).abs() <= 1.001).all()


def test_normalising_is_torchvisions_to_float_rounding(v2):
    whole = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(task().mean, task().std)])
    expected = torch.stack([whole(image) for image in as_pil(IMAGES)])
    assert torch.allclose(Normalise(task())(IMAGES), expected, rtol=0, atol=1e-6)


def test_mirroring_is_torchvisions_to_the_bit_after_resizing_and_of_those_told_only(v2):
    normalise = Normalise(task(resize=7))
    mirrored = torch.arange(33) % 3 == 0
    whole = normalise(IMAGES)
    expected = torch.where(mirrored.view(-1, 1, 1, 1), v2.functional.horizontal_flip(whole), whole)
    assert torch.equal(normalise(IMAGES, mirrored), expected)


def test_the_papers_transform_is_torchvisions_within_one_level(v2):
    """norm_256_flip: Resize 256, CenterCrop 256, RandomHorizontalFlip, ToTensor, Normalize."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    images = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8))
    before = [v2.Resize(256), v2.CenterCrop(256), v2.RandomHorizontalFlip(1.0)]
    after = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    expected = torch.stack([v2.Compose(before + after)(image) for image in as_pil(images)])
    ours = Normalise(task(mean=mean, std=std, resize=256))(images, torch.ones(3, dtype=torch.bool))
    assert (ours - expected).abs().max() <= 1.001 / 255 / min(std)


def test_an_epoch_gives_resized_images_in_the_order_and_with_the_flips_of_unresized_ones():
    plain, large = list(epoch(flip=True)), list(epoch(flip=True, resize=8, shape=(3, 8, 8)))
    assert plain
    for (small, labels), (inputs, same) in zip(plain, large, strict=True):
        assert torch.equal(labels, same)
        assert inputs.shape == (8, 3, 8, 8)
        assert torch.allclose(torch.nn.functional.interpolate(small, (8, 8), mode="bilinear"), inputs, atol=1e-5)


def test_all_is_done_where_the_images_are():
    loader = Epoch(IMAGES.to("meta"), LABELS.to("meta"), task(flip=True, resize=8), 0)
    inputs, labels = next(loader)
    assert (inputs.device.type, labels.device.type) == ("meta", "meta")
    assert (inputs.shape, inputs.dtype) == ((8, 3, 8, 8), torch.float32)
