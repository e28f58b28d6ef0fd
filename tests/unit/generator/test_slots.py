"""Slots take memory as sequences grow, and none when no sequence runs."""

import pytest
import torch

from services.generator.modelserver.slots import SlotCache, States


def states(length, filled):
    return [States(*(torch.full((1, 2, length, 4), float(filled)) for _ in range(2))) for _ in range(3)]


def held(cache):
    return sum(content.numel() for layer in cache.layers for content in layer)


@pytest.mark.parametrize("lengths", [(1,), (5, 70), (64, 64), (65, 3, 130), (200, 1)])
def test_what_a_slot_holds_survives_growth_and_all_is_freed_with_the_last(lengths):
    cache = SlotCache(8, 256)
    for row, length in enumerate(lengths):
        cache.admit(row, states(length, row + 1))
    fed = {0: [0] * 50}
    cache.grow(fed)
    for row, length in enumerate(lengths):
        for layer in cache.layers:
            for content in layer:
                assert (content[row, :, :length] == row + 1).all()
    assert all(layer.keys.shape[2] < max(*lengths, lengths[0] + 50) + 64 for layer in cache.layers)
    for row in range(len(lengths)):
        assert held(cache) > 0
        cache.release(row)
    assert held(cache) == 0
    cache.admit(7, states(9, 5))
    assert (cache.layers[2].values[7, :, :9] == 5).all()
