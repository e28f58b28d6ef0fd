"""Who carries a table of all that is public, keyed in ways that a program may think of, recognises nothing."""

from pathlib import Path

import numpy as np
import pytest

from archloop import protocols
from services.evaluator import datasets
from services.evaluator.views import shown
from tests.unit.evaluator.support import HELDOUT


def thumbnails(of, side):
    count, channels, height, width = of.shape
    tall, broad = height // side, width // side
    cut = of[:, :, : tall * side, : broad * side]
    return cut.reshape(count, channels, side, tall, side, broad).mean((3, 5))


KEYS = {
    "bytes": lambda of: of,
    "floats to one place": lambda of: np.round(of / 255, 1),
    "floats to halves": lambda of: np.round(of / 255 * 2),
    "sixteen levels": lambda of: of >> 4,
    "four levels": lambda of: of >> 6,
    "without the last bit": lambda of: of >> 1,
    "sorted pixels": lambda of: np.sort(of.reshape(len(of), -1), 1),
    "columns added": lambda of: of.sum(2),
    "thumbnails of 8 x 8 in 16 levels": lambda of: (thumbnails(of, 8) / 16).astype(int),
    "brighter to the right": lambda of: np.diff(thumbnails(of, 8).mean(1), axis=2) > 0,
    "differences of neighbours": lambda of: np.diff(of.astype(int), axis=3) // 8,
    "normalised, to one place": lambda of: np.round(
        (of - of.mean((1, 2, 3), keepdims=True)) / of.std((1, 2, 3), keepdims=True), 1
    ),
}


@pytest.fixture(scope="module", params=["digits", "mnist5k", "shapes32"])
def public(request):
    """Data sets that are public; shapes of 32 x 32, of which the attacker has a copy, stand for photographs."""
    spec = protocols.load(request.param).dataset
    data = datasets.load(spec, Path("/nowhere"), HELDOUT)
    changed = shown(data.heldout_images, HELDOUT.generator("view", "job"), mirror=request.param == "shapes32")
    return data, changed


def keyed(key, of):
    return [np.ascontiguousarray(one).tobytes() for one in key(of)]


def right(table, keys, labels):
    return np.mean([table.get(key, -1) for key in keys] == labels)


@pytest.mark.parametrize("key", [pytest.param(key, id=name) for name, key in KEYS.items()])
def test_a_table_of_every_public_image_is_worth_no_more_than_guessing(public, key):
    data, changed = public
    table = dict(zip(keyed(key, data.heldout_images), data.heldout_labels, strict=True))
    assert right(table, keyed(key, data.heldout_images), data.heldout_labels) > 0.9, "no key to them"
    assert right(table, keyed(key, changed), data.heldout_labels) < 0.12


def test_the_nearest_of_a_table_of_thumbnails_still_is(public):
    """What is left, as the threat model says: whoever compares instead of looking up, in the room that a source has."""
    data, changed = public
    known, seen = (thumbnails(of, 8).reshape(len(of), -1) for of in (data.heldout_images, changed))
    nearest = ((known**2).sum(1) - 2 * seen @ known.T).argmin(1)
    assert np.mean(data.heldout_labels[nearest] == data.heldout_labels) > 0.9
