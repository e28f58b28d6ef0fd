"""On how many threads a model is read and stepped."""

import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest
import torch

from services.generator.modelserver import threads
from services.generator.modelserver.engine import Engine
from services.generator.modelserver.slots import SlotCache, States


@pytest.fixture(autouse=True)
def _threads_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Timed:
    """A decoder whose steps take so many seconds, by the number of threads."""

    width = 1

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self.seconds, self.stepped_on, self.read_on = seconds, [], []

    def cache(self, slots: int, capacity: int) -> SlotCache:
        return SlotCache(slots, capacity)

    def prefill(self, prompt: Sequence[int]):
        self.read_on.append(torch.get_num_threads())
        states = torch.zeros(1, 1, len(prompt), 1)
        return torch.zeros(4).numpy(), [States(states, states)]

    def step(self, fed, cache):
        self.stepped_on.append(torch.get_num_threads())
        time.sleep(self.seconds[self.stepped_on[-1]])
        return {row: torch.zeros(len(tokens), 4).numpy() for row, tokens in fed.items()}


@pytest.mark.parametrize(("seconds", "most", "best"), [({1: 0.001, 2: 0.02}, 2, 1), ({1: 0.02, 2: 0.001}, 2, 2)])
def test_the_faster_number_is_found_by_trying_both(seconds, most, best):
    decoder = Timed(seconds)
    assert threads.quicker(decoder, most) == best
    assert set(decoder.stepped_on) == {1, most}
    assert torch.get_num_threads() == 1


def test_a_single_thread_is_not_tried():
    decoder = Timed({})
    assert threads.quicker(decoder, 1) == 1
    assert decoder.stepped_on == []


def test_a_prompt_is_read_on_all_threads_and_the_steps_are_not():
    decoder = Timed({1: 0.0})
    engine = Engine(decoder, 8, 64, reading_threads=2)
    chosen: list[int] = []
    sequence = SimpleNamespace(
        prompt=[1, 2],
        cancelled=False,
        tokens=[SimpleNamespace(token=1)],
        sampler=SimpleNamespace(choose=lambda logits: SimpleNamespace(token=1)),
        accept=chosen.append,
        draft=lambda most: [],
        done=False,
        on_end=chosen.append,
    )
    engine.submit(sequence)
    engine.advance()
    engine.advance()
    assert (decoder.read_on, decoder.stepped_on) == ([2], [1, 1])
    assert len(chosen) == 3


def test_threads_are_given_back_where_something_fails():
    seen: list[int] = []

    def failing() -> None:
        with threads.running_on(2):
            seen.append(torch.get_num_threads())
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert (seen, torch.get_num_threads()) == ([2], 1)
