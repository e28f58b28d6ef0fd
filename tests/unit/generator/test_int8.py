"""Models of Llama's shape in 8 bits: near what transformers computes, exact whatever is batched, adapted likewise."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    GPTNeoXConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from archloop.adapters import CONFIG_FILE, WEIGHTS_FILE
from archloop.errors import InvalidInput, NotFound
from archloop.models import locate
from services.generator.modelserver import int8, llama, llama_int8
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.drafting import Drafter
from services.generator.modelserver.engine import Engine
from services.generator.modelserver.models import Weights, load_base
from services.generator.modelserver.sampling import Sampler, Sampling
from services.generator.modelserver.sequence import Sequence
from tests.unit.generator.tiny_model import save_llama

pytestmark = pytest.mark.skipif(not int8.fast(), reason="this processor has no instructions for 8-bit products")
SIZES = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "head_dim": 16}
HEADS = SIZES | {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.1}
PROMPT = [(7 * n) % 300 for n in range(40)]
CAPACITY = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"), **HEADS, tie_word_embeddings=True)


@pytest.fixture(scope="module")
def own(folder):
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def rounded(folder):
    return llama_int8.load(
        llama.Shape.of(LlamaConfig.from_pretrained(folder).to_dict()), Checkpoint(str(folder)), CAPACITY
    )


def after_prompt(model):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([PROMPT])).logits[0, -1].numpy()


def distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_near_those_of_transformers(tmp_path, tied):
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**HEADS, tie_word_embeddings=tied)).eval()
    model.save_pretrained(tmp_path)
    decoder = llama_int8.load(llama.Shape.of(model.config.to_dict()), Checkpoint(str(tmp_path)), CAPACITY)
    assert 0 < distance(decoder.prefill(PROMPT)[0], after_prompt(model)) < 0.03


def test_tokens_one_by_one_come_to_what_the_whole_prompt_does(rounded):
    cache = rounded.cache(8, CAPACITY)
    _, states = rounded.prefill(PROMPT[:20])
    cache.admit(3, states)
    for token in PROMPT[20:]:
        fed = {3: [token]}
        cache.grow(fed)
        last = rounded.step(fed, cache)[3][0]
    assert distance(last, rounded.prefill(PROMPT)[0]) < 0.01


MULTIPLIED = """
import torch
from services.generator.modelserver import int8
int8.Int8Linear(torch.randn(576, 1536))(torch.randn(4, 1536))
"""


@pytest.mark.skipif(not int8.fast(), reason="this processor has no instructions for products of 8 bits")
def test_what_multiplies_is_made_for_the_processor_and_not_onednns_reference():
    command = ["env", "ONEDNN_VERBOSE=1", sys.executable, "-c", MULTIPLIED]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    products = [line for line in told.splitlines() if ",exec,cpu,matmul," in line]
    assert products
    assert [line for line in products if ",ref" in line] == []


def test_a_product_is_that_of_the_rounded_numbers():
    torch.manual_seed(1)
    weight, inputs = torch.randn(64, 96, dtype=torch.float64), torch.randn(5, 96)
    rounded = int8.quantised(weight.float())
    expected = inputs.double() @ (rounded.codes.double() * rounded.scales.double()).T
    assert (int8.Int8Linear(weight.float())(inputs).double() - expected).abs().max() < 0.01 * expected.abs().max()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 15, 16, 17, 40, 300])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_product_is_the_same_to_the_bit_beside_any_number_of_others(rows, threads):
    torch.manual_seed(0)
    linear, inputs = int8.Int8Linear(torch.randn(576, 1536)), torch.randn(300, 1536)
    whole = linear(inputs)
    torch.set_num_threads(threads)
    try:
        assert torch.equal(linear(inputs[:rows].clone()), whole[:rows])
    finally:
        torch.set_num_threads(1)


def test_a_product_is_that_of_the_rounded_weights_and_nearly_exact_inputs():
    torch.manual_seed(0)
    weight, inputs = torch.randn(96, 100), torch.randn(5, 100)
    inputs[:, 7] *= 300
    codes, scales = int8.quantised(weight)
    expected = inputs.double() @ (codes.double() * scales.double()).T
    once, once_scales = int8.quantised(inputs)
    by_one = (once.double() * once_scales.double()) @ (codes.double() * scales.double()).T
    got = int8.Int8Linear(weight)(inputs).double()
    assert (got - expected).norm() < 0.02 * (by_one - expected).norm()


def test_rows_of_a_width_that_fills_no_vector_are_the_same_to_the_bit_too():
    torch.manual_seed(0)
    linear, inputs = int8.Int8Linear(torch.randn(301, 77)), torch.randn(33, 77)
    whole = linear(inputs)
    assert all(torch.equal(linear(inputs[:rows].clone()), whole[:rows]) for rows in range(1, 34))


@pytest.mark.parametrize("row", [[0.0] * 8, [1e-30] * 8, [3e38, -3e38, *[0.0] * 6], [-5.0, *[0.0] * 7]])
def test_rows_of_any_size_are_rounded(row):
    codes, scales = int8.quantised(torch.tensor([row]))
    assert torch.isfinite(scales).all()
    assert torch.allclose(codes * scales, torch.tensor([row]), rtol=0.01, atol=1e-12)


class Counted:
    """A decoder whose steps are counted, and which guesses no more than `width` tokens ahead."""

    def __init__(self, decoder, width):
        self._decoder, self.width, self.steps = decoder, width, 0

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def step(self, fed, cache):
        self.steps += 1
        return self._decoder.step(fed, cache)


def answered(decoder, sampling, *seeds):
    engine = Engine(decoder, 8, CAPACITY)
    sequences = [
        Sequence(PROMPT[:9] * 3, Sampler(sampling, seed), 60, frozenset([17]), None, None, lambda _: None)
        for seed in seeds
    ]
    for sequence in sequences:
        engine.submit(sequence)
    while not engine.idle:
        engine.advance()
    return [sequence.tokens for sequence in sequences]


@pytest.mark.parametrize("seeds", [(1,), (2, 3), (4, 5, 6, 7)])
@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=0.05), Sampling(temperature=0.4, top_p=0.9, top_k=20)], ids=repr
)
def test_guessing_ahead_changes_no_token_and_saves_steps(rounded, sampling, seeds):
    plain, ahead = Counted(rounded, 1), Counted(rounded, 16)
    assert answered(ahead, sampling, *seeds) == answered(plain, sampling, *seeds), "with log-probabilities, to the bit"
    assert ahead.steps <= plain.steps
    if sampling.greedy:
        assert ahead.steps < plain.steps, "nothing was guessed right: nothing was tried"


@pytest.mark.parametrize(
    ("tokens", "most", "expected"),
    [
        ([1, 2, 3, 4, 1, 2], 2, [3, 4]),
        ([1, 2, 3, 4, 1, 2], 9, [3, 4, 1, 2]),
        ([1, 2, 3], 4, []),
        ([], 4, []),
        ([5, 5, 5], 4, [5]),
        ([1, 2, 9, 7, 1, 2, 8, 1, 2], 1, [8]),
        ([3, 1, 2, 9, 4, 1, 2, 8, 3, 1, 2], 1, [9]),
        ([1, 2, 3, 1, 2], 0, []),
    ],
)
def test_guesses_are_what_followed_the_longest_run_the_last_time(tokens, most, expected):
    assert Drafter(tokens).guess(most) == expected


@pytest.fixture
def adapter(own, folder, tmp_path):
    """A trained-looking adapter of some layers, and the logits of transformers' model with it."""
    torch.manual_seed(3)
    base = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    tuned = get_peft_model(base, lora).eval()
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    tuned.save_pretrained(tmp_path)
    return tmp_path, after_prompt(tuned)


def test_an_adapter_is_added_before_rounding(own, rounded, adapter):
    folder, expected = adapter
    tuned = rounded.adapted(folder)
    assert distance(expected, after_prompt(own)) > 0.2
    assert distance(tuned.prefill(PROMPT)[0], expected) < 0.06
    assert tuned.layers[0].gate_up is rounded.layers[0].gate_up, "what the adapter leaves alone is shared"
    assert tuned.layers[0].qkv is not rounded.layers[0].qkv


def renamed(weights):
    name = next(iter(weights))
    weights[name.replace("layers.0", "layers.9")] = weights.pop(name)


def alone(weights):
    del weights[next(name for name in weights if "lora_A" in name)]


def short(weights):
    name = next(name for name in weights if "lora_B" in name)
    weights[name] = weights[name][:-1].clone()


def wide(weights):
    name = next(name for name in weights if "lora_A" in name)
    weights[name] = torch.cat([weights[name], weights[name]], 1)


def nan(weights):
    weights[next(iter(weights))][0, 0] = torch.nan


def bias(weights):
    weights["base_model.model.model.layers.0.self_attn.q_proj.bias"] = torch.zeros(64)


def elsewhere(weights):
    for name in list(weights):
        weights[name.replace("self_attn", "cross_attn")] = weights.pop(name)


def nothing(weights):
    weights.clear()
    weights["other"] = torch.zeros(1)


@pytest.mark.parametrize("spoil", [renamed, alone, short, wide, nan, bias, elsewhere, nothing])
def test_an_adapter_that_does_not_fit_is_refused_whole(rounded, adapter, spoil):
    folder, _ = adapter
    weights = load_file(folder / WEIGHTS_FILE)
    spoil(weights)
    save_file(weights, folder / WEIGHTS_FILE)
    with pytest.raises(InvalidInput, match="lora_path"):
        rounded.adapted(folder)


def test_an_adapter_of_another_kind_is_refused_by_its_field(rounded, adapter):
    folder, _ = adapter
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(InvalidInput, match="use_dora"):
        rounded.adapted(folder)


def test_an_adapter_that_is_not_there_is_not_found(rounded, tmp_path):
    with pytest.raises(NotFound):
        rounded.adapted(tmp_path / "none")
    with pytest.raises(InvalidInput, match=WEIGHTS_FILE):
        rounded.adapted(tmp_path)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (LlamaConfig(**HEADS), None),
        (LlamaConfig(**HEADS, attention_bias=True), "a bias"),
        (LlamaConfig(**HEADS, mlp_bias=True), "a bias"),
        (LlamaConfig(**HEADS, hidden_act="gelu"), "hidden_act gelu"),
        (
            LlamaConfig(**HEADS, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
            "rope_type linear",
        ),
        (Qwen2Config(**HEADS), "model_type qwen2"),
        (MistralConfig(**HEADS), "model_type mistral"),
        (GPTNeoXConfig(hidden_size=64, num_attention_heads=4), "model_type gpt_neox"),
    ],
)
def test_what_is_not_of_llamas_shape_is_not_served_in_eight_bits(config, why):
    assert llama.unfit(config.to_dict()) == why


def test_a_small_model_stays_in_float32_and_a_wish_is_granted():
    assert load_base("tiny", 512).weights is Weights.FLOAT32
    assert load_base("tiny", 512, weights="int8").weights is Weights.INT8
    assert load_base("tiny", 512, weights="bfloat16").weights is Weights.BFLOAT16


def test_eight_bits_for_a_model_of_another_shape_are_refused_by_name(tmp_path):
    Qwen2ForCausalLM(Qwen2Config(**HEADS)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(locate("tiny")).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match=r"weights: .*int8.*model_type qwen2"):
        load_base(str(tmp_path), 512, weights="int8")
