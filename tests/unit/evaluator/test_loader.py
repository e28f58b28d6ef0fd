import numpy as np
import pytest
import torch

from services.evaluator.harness.loader import Epoch, Normalise
from services.evaluator.harness.task import Task

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
    assert Task.decode(task().encode()) == task()


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
