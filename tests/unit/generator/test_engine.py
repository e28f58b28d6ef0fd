"""One prompt, one seed, one model: the same tokens in whatever company, slot and order."""

import random

import pytest
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from services.generator.modelserver import int8, llama_float32, llama_int8
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.engine import Engine
from services.generator.modelserver.llama import Shape
from services.generator.modelserver.sampling import Sampler, Sampling
from services.generator.modelserver.sequence import Finish, Sequence
from services.generator.modelserver.transformers_model import ATTENTION, TransformersDecoder

SIZES = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
HEADS = SIZES | {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
ARCHITECTURES = {
    "llama with grouped heads": (LlamaForCausalLM, LlamaConfig(**HEADS)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**HEADS)),
    "mistral with a sliding window": (MistralForCausalLM, MistralConfig(**HEADS, sliding_window=24)),
    "gpt-neox": (GPTNeoXForCausalLM, GPTNeoXConfig(**SIZES, num_attention_heads=4, initializer_range=0.2)),
}
CAPACITY = 160
PROMPT = random.Random(9).choices(range(300), k=37)
SAMPLED = Sampling(temperature=0.9, top_p=0.98, top_k=100)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def built(name):
    torch.manual_seed(0)
    architecture, config = ARCHITECTURES[name]
    config._attn_implementation = ATTENTION
    return architecture(config).eval()


def of_our_own(kind, folder):
    if kind is llama_int8 and not int8.fast():
        pytest.skip("this processor has no instructions for 8-bit products")
    model = built("llama with grouped heads")
    model.save_pretrained(folder)
    return kind.load(Shape.of(model.config.to_dict()), Checkpoint(str(folder)), CAPACITY)


OF_OUR_OWN = {"llama in 8 bits": llama_int8, "llama in float32": llama_float32}


@pytest.fixture(params=ARCHITECTURES)
def model(request):
    return built(request.param)


@pytest.fixture(params=[*ARCHITECTURES, *OF_OUR_OWN])
def decoder(request, tmp_path):
    if request.param in ARCHITECTURES:
        return TransformersDecoder(built(request.param))
    return of_our_own(OF_OUR_OWN[request.param], tmp_path)


@pytest.fixture
def llama():
    return TransformersDecoder(built("llama with grouped heads"))


class Ended(list):
    """What `on_end` was told, by request."""

    def sequence(self, prompt=PROMPT, *, seed=5, length=30, sampling=SAMPLED, eos=(), stopped=None):
        return Sequence(prompt, Sampler(sampling, seed), length, frozenset(eos), stopped, None, self.append)

    def crowd(self, number, first_seed=100):
        """Requests of all lengths."""
        for seed in range(first_seed, first_seed + number):
            words = random.Random(seed)
            prompt = [words.randrange(300) for _ in range(words.randrange(1, 60))]
            yield self.sequence(prompt, seed=seed, length=words.randrange(1, 40))


def run(engine):
    while not engine.idle:
        engine.advance()


def alone(decoder):
    ended = Ended()
    sequence = ended.sequence()
    engine = Engine(decoder, 16, CAPACITY)
    engine.submit(sequence)
    run(engine)
    assert ended == [None]
    return sequence.tokens


@pytest.mark.parametrize(("before", "after"), [(15, 0), (20, 8)])
def test_tokens_do_not_depend_on_company_slot_or_time_of_arrival(decoder, before, after):
    expected = alone(decoder)
    engine, ended = Engine(decoder, 16, CAPACITY), Ended()
    for other in ended.crowd(before):
        engine.submit(other)
    for _ in range(before // 2):
        engine.advance()
    sequence = ended.sequence()
    engine.submit(sequence)
    for other in ended.crowd(after, first_seed=200):
        engine.advance()
        engine.submit(other)
    run(engine)
    assert ended == [None] * (before + after + 1)
    assert sequence.tokens == expected, "tokens and log-probabilities, to the last bit"


def test_every_slot_gives_the_same_tokens(decoder):
    engine, ended = Engine(decoder, 16, CAPACITY), Ended()
    twins = [ended.sequence() for _ in range(16)]
    for twin in twins:
        engine.submit(twin)
    run(engine)
    assert all(twin.tokens == twins[0].tokens for twin in twins)


def test_greedy_tokens_are_those_of_transformers_own_generate(model):
    ended = Ended()
    sequence = ended.sequence(sampling=Sampling())
    engine = Engine(TransformersDecoder(model), 8, CAPACITY)
    engine.submit(sequence)
    run(engine)
    model.config._attn_implementation = "sdpa"
    model.generation_config.eos_token_id = None
    own = model.generate(torch.tensor([PROMPT]), max_new_tokens=30, do_sample=False, pad_token_id=0)
    assert [choice.token for choice in sequence.tokens] == own[0, len(PROMPT) :].tolist()


def test_a_freed_slot_keeps_nothing_of_its_last_sequence(llama):
    engine, ended = Engine(llama, 8, CAPACITY), Ended()
    for other in ended.crowd(12):
        engine.submit(other)
    run(engine)
    sequence = ended.sequence()
    engine.submit(sequence)
    run(engine)
    assert sequence.tokens == alone(llama)


def test_sequences_end_by_eos_by_stop_or_by_length(llama):
    tokens = [choice.token for choice in alone(llama)]
    ended = Ended()
    by_eos = ended.sequence(eos=[tokens[6]])
    by_stop = ended.sequence(stopped=lambda token: token == tokens[3])
    at_once = ended.sequence(eos=[tokens[0]])
    engine = Engine(llama, 8, CAPACITY)
    for sequence in (by_eos, by_stop, at_once):
        engine.submit(sequence)
    run(engine)
    assert (by_eos.finish, len(by_eos.tokens)) == (Finish.EOS, tokens.index(tokens[6]) + 1)
    assert (by_stop.finish, len(by_stop.tokens)) == (Finish.STOP, tokens.index(tokens[3]) + 1)
    assert (at_once.finish, len(at_once.tokens)) == (Finish.EOS, 1)


def test_a_cancelled_sequence_frees_its_slot(llama):
    engine, ended = Engine(llama, 8, CAPACITY), Ended()
    running = [ended.sequence(length=100) for _ in range(8)]
    waiting, next_one = ended.sequence(length=100), ended.sequence(length=3)
    for sequence in (*running, waiting, next_one):
        engine.submit(sequence)
    engine.advance()
    running[4].cancelled = waiting.cancelled = True
    engine.advance()
    engine.advance()
    assert len(next_one.tokens) > 0
    assert not waiting.tokens


def test_a_step_that_raises_fails_its_sequences_and_not_the_engine(llama):
    engine, ended = Engine(llama, 8, CAPACITY), Ended()
    engine.submit(ended.sequence([10_000]))
    engine.submit(ended.sequence())
    engine.advance()
    assert len(ended) == 1
    assert isinstance(ended[0], IndexError)
    survivor = ended.sequence()
    engine.submit(survivor)
    run(engine)
    assert survivor.tokens == alone(llama)


@pytest.mark.parametrize("slots", [0, 12, -8])
def test_slots_come_in_whole_tiles(llama, slots):
    with pytest.raises(ValueError, match="multiple of 8"):
        Engine(llama, slots, CAPACITY)
