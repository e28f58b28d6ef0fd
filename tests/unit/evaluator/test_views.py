"""How held-out images that anybody may have are shown: changed beyond recognition by bytes, and in nothing else."""

import time
from itertools import product

import numpy as np
import pytest

from services.evaluator import views
from services.evaluator.views import shown
from tests.unit.evaluator.support import HELDOUT

SHAPES = [(1, 8, 8), (1, 16, 16), (1, 28, 28), (3, 32, 32), (3, 20, 48), (4, 64, 64)]
DRAWN = 240


def images(shape, seed=0, count=DRAWN):
    """Not so dark or bright that changes are cut off."""
    return np.random.default_rng(seed).integers(40, 180, (count, *shape), dtype=np.uint8)


def view(of, *, mirror=False, job="job"):
    return shown(of, HELDOUT.generator("view", job), mirror=mirror)


def wide(image, most):
    return np.pad(image, ((0, 0), (most, most), (most, most)), mode="edge").astype(int)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mirror", [True, False])
def test_the_same_job_sees_the_same_and_another_one_something_else(shape, mirror):
    original = images(shape)
    before = original.copy()
    changed = view(original, mirror=mirror)
    assert (changed.shape, changed.dtype) == (original.shape, np.uint8)
    assert (changed == view(original, mirror=mirror)).all()
    assert (original == before).all()
    for other in (original, view(original, mirror=mirror, job="another")):
        assert {i.tobytes() for i in changed}.isdisjoint(i.tobytes() for i in other)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_image_is_the_one_that_it_was_shifted_lit_and_with_noise(shape):
    """Some shift explains it within what light and noise may do; it is not the same for all."""
    original, most = images(shape, count=24), min(shape[1:]) // 32
    shifts = list(product(range(2 * most + 1), repeat=2))
    found = set()
    for before, after in zip(original, view(original), strict=True):
        around = wide(before, most)
        cuts = [around[:, down : down + shape[1], right : right + shape[2]] for down, right in shifts]
        off = [int(np.max(np.abs(after - cut) - 0.2 * cut)) for cut in cuts]
        assert min(off) <= 13
        found.add(shifts[int(np.argmin(off))])
    assert len(found) == 1 if most == 0 else len(found) > 4


def test_light_changes_smoothly_and_leaves_black_black(monkeypatch):
    monkeypatch.setattr(views, "_NOISE", 0)
    flat = np.full((DRAWN, 3, 32, 32), 200, np.uint8)
    lit = view(flat).astype(int)
    assert not view(np.zeros_like(flat)).any()
    assert np.abs(np.diff(lit, axis=-1)).max() <= 200 * 0.4 / 10 + 1
    assert (lit.min(), lit.max()) == (pytest.approx(160, abs=8), pytest.approx(240, abs=8))
    assert np.ptp(lit, axis=(1, 2, 3)).min() > 10
    assert (lit[:, 0] == lit[:, 2]).all()


def test_noise_is_of_twelve_levels_at_every_pixel_by_itself(monkeypatch):
    monkeypatch.setattr(views, "_LIGHT", 0)
    noise = view(np.full((DRAWN, 3, 16, 16), 100, np.uint8)).astype(int) - 100
    assert set(np.unique(noise)) == set(range(-12, 13))
    assert abs(noise.mean()) < 0.2
    assert abs(np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1]) < 0.02


def test_half_are_mirrored_where_told_and_none_where_not(monkeypatch):
    monkeypatch.setattr(views, "_NOISE", 0)
    monkeypatch.setattr(views, "_LIGHT", 0)
    original = images((1, 16, 16))
    assert (view(original) == original).all()
    told = view(original, mirror=True)
    mirrored = (told == original[..., ::-1]).all((1, 2, 3))
    assert (mirrored | (told == original).all((1, 2, 3))).all()
    assert DRAWN / 3 < mirrored.sum() < 2 * DRAWN / 3


@pytest.mark.parametrize("count", [1, 2, 1023, 2048])
def test_no_image_is_left_out_where_there_are_many(count, monkeypatch):
    monkeypatch.setattr(views, "_PIXELS_AT_ONCE", 1000)
    original = images((1, 8, 8), count=count)
    changed = view(original).astype(int)
    assert (np.abs(changed - original).max((1, 2, 3)) <= 0.2 * 180 + 13).all()
    assert (changed != original).any((1, 2, 3)).all()


def test_bright_and_dark_are_cut_off_and_do_not_wrap():
    for level in (0, 255):
        changed = view(np.full((DRAWN, 3, 32, 32), level, np.uint8)).astype(int)
        assert np.abs(changed - level).max() < 70


def test_it_takes_little_time():
    """Of one core, for the held-out images of CIFAR-10 well below a second."""
    original = images((3, 32, 32), count=3000)
    view(original)
    began = time.process_time()
    view(original, mirror=True)
    assert time.process_time() - began < 0.4
