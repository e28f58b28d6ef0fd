"""What prompts begin with alike is computed once, and comes to the same as if it were computed each time."""

import random

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from services.generator.modelserver import int8, llama, llama_int8
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.prefixes import BLOCK, Prefixes

SIZES = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "head_dim": 16}
HEADS = SIZES | {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
WORDS = random.Random(3).choices(range(300), k=900)


def states(tokens):
    """Stand-ins: a token's are its number and its place."""
    return torch.tensor([[token, place] for place, token in enumerate(tokens)], dtype=torch.float32)


@pytest.mark.parametrize(
    ("earlier", "prompt", "known"),
    [
        (WORDS[:70], WORDS[:70], 2 * BLOCK),
        (WORDS[:70], WORDS[:64], BLOCK),
        (WORDS[:70], WORDS[:65], 2 * BLOCK),
        (WORDS[:70], WORDS[:40] + WORDS[:40], BLOCK),
        (WORDS[:70], WORDS[:31], 0),
        (WORDS[:70], WORDS[1:70], 0),
        (WORDS[:70], [*WORDS[:32], 300, *WORDS[33:70]], BLOCK),
        (WORDS[:70], [300, *WORDS[1:70]], 0),
        (WORDS[:31], WORDS[:300], 0),
    ],
)
def test_known_are_the_whole_blocks_that_came_twice_but_for_the_last_token(earlier, prompt, known):
    prefixes = Prefixes()
    prefixes.keep(states(earlier), earlier)
    assert prefixes.fill(torch.zeros(len(prompt), 2), prompt) == 0, "once is not twice"
    prefixes.keep(states(earlier), earlier)
    filled = torch.zeros(len(prompt), 2)
    assert prefixes.fill(filled, prompt) == known
    assert torch.equal(filled[:known], states(prompt)[:known])
    assert not filled[known:].any()


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8])
def test_the_end_of_a_prompt_makes_room_before_its_beginning_and_the_old_before_the_new(room):
    prefixes, old, new = Prefixes(room), WORDS[: 3 * BLOCK + 1], WORDS[400 : 400 + 3 * BLOCK + 1]
    for prompt in (old, old, new, new):
        prefixes.keep(states(prompt), prompt)
    of_new = prefixes.fill(torch.zeros(len(new), 2), new)
    of_old = prefixes.fill(torch.zeros(len(old), 2), old)
    assert (of_new, of_old) == (min(3, room) * BLOCK, min(3, max(0, room - 3)) * BLOCK)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not int8.fast():
        pytest.skip("this processor has no instructions for 8-bit products")
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**HEADS)).save_pretrained(folder)
    return folder


def loaded(folder):
    return llama_int8.load(llama.Shape.of(LlamaConfig.from_pretrained(folder).to_dict()), Checkpoint(str(folder)), 1024)


@pytest.fixture(scope="module")
def crowded(folder):
    """A model that was asked much before, beginnings that prompts share and others."""
    torch.set_num_threads(1)
    crowded = loaded(folder)
    for shared in (0, 20, 40, 40, 80, 80, 290, 290, 700, 700):
        crowded.prefill([*WORDS[:shared], *WORDS[600:650]])
    return crowded


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 100, 256, 257, 300, 600])
def test_a_prompt_comes_to_the_same_bits_whatever_was_asked_before(folder, crowded, length):
    torch.set_num_threads(1)
    prompt = WORDS[:length]
    logits, kept = loaded(folder).prefill(prompt)
    for _ in range(3):
        again, again_kept = crowded.prefill(prompt)
        assert np.array_equal(again, logits)
        for one, other in zip(again_kept, kept, strict=True):
            assert torch.equal(one.keys, other.keys)
            assert torch.equal(one.values, other.values)


def test_what_is_known_is_not_computed_again_and_an_adapted_model_knows_nothing(folder, monkeypatch):
    read = []
    run = llama_int8.Int8Llama._run
    monkeypatch.setattr(
        llama_int8.Int8Llama, "_run", lambda own, tokens, *rest: read.append(len(tokens)) or run(own, tokens, *rest)
    )
    decoder = loaded(folder)
    for end in (101, 102, 103):
        decoder.prefill(WORDS[:end])
    assert read == [101, 102, 103 - 3 * BLOCK]
    read.clear()
    decoder.prefill(WORDS[300:900])
    assert max(read) <= 8 * BLOCK, "memory for a long prompt is bounded"
    monkeypatch.setattr(llama_int8, "deltas", lambda folder, modules: {})
    read.clear()
    decoder.adapted(folder).prefill(WORDS[:103])
    assert read == [103]
