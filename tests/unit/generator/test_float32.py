"""Models of Llama's shape in float32: to the bit what transformers computes, as its configuration has it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from archloop.adapters import WEIGHTS_FILE
from archloop.errors import InvalidInput, NotFound
from archloop.models import locate
from services.generator.modelserver import int8, llama, llama_float32
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.models import load_base
from services.generator.modelserver.transformers_model import ATTENTION, TransformersDecoder
from tests.unit.generator.tiny_model import save_llama

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "initializer_range": 0.1,
}
SHAPES = {
    "as many keys as queries": {"num_attention_heads": 4},
    "grouped heads": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "one key for all": {"num_attention_heads": 8, "num_key_value_heads": 1},
    "heads wider than their share": {"num_attention_heads": 4, "head_dim": 32},
    "a head of its own": {"num_attention_heads": 4, "tie_word_embeddings": True},
    "other constants": {"num_attention_heads": 4, "rms_norm_eps": 1e-3, "rope_theta": 500.0},
}
CAPACITY, SLOTS = 200, 8


def saved(folder, **options):
    return save_llama(folder, **SIZES, **options)


def theirs(folder):
    """transformers' decoder, its weights where a vector begins: a product depends on where in memory they lie."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION).eval()
    return TransformersDecoder(aligned(model))


def aligned(model):
    for module in model.modules():
        if getattr(module, "weight", None) is not None:
            module.weight = torch.nn.Parameter(module.weight.detach().clone(), requires_grad=False)
    return model


def ours(folder):
    shape = llama.Shape.of(json.loads((folder / "config.json").read_text()))
    return llama_float32.load(shape, Checkpoint(str(folder)), CAPACITY)


def said(decoder, lengths=(1, 2, 7, 40, 16), steps=12):
    """Logits after prompts of these lengths, and after tokens fed to all of them together."""
    cache, logits = decoder.cache(SLOTS, CAPACITY), []
    with torch.inference_mode():
        for row, length in enumerate(lengths):
            after, states = decoder.prefill([(7 * n + row) % 300 for n in range(length)])
            cache.admit(row, states)
            logits.append(after)
        for step in range(steps):
            fed = {row: [(31 * step + row) % 300] for row in range(len(lengths)) if (step + row) % 5}
            cache.grow(fed)
            logits += [after[0] for after in decoder.step(fed, cache).values()]
    return np.stack(logits)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_transformers_says_the_same_to_the_bit(options, tmp_path):
    folder = saved(tmp_path, **options)
    mine = said(ours(folder))
    assert np.array_equal(mine, said(theirs(folder)))
    assert len({row.tobytes() for row in mine}) == len(mine), "they tell prompts apart"


def test_the_shipped_model_says_the_same_to_the_bit():
    base = load_base("tiny", 512)
    assert isinstance(base.decoder, llama_float32.Float32Llama)
    assert np.array_equal(said(base.decoder), said(theirs(locate("tiny"))))


def adapter(folder, base, **options):
    settings = {"r": 8, "lora_alpha": 11, "task_type": "CAUSAL_LM"} | options
    tuned = get_peft_model(LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(**settings))
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    tuned.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("modules", [["v_proj"], ["q_proj", "k_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]])
def test_peft_makes_the_same_of_an_adapter_to_the_bit(modules, tmp_path):
    base = saved(tmp_path / "base", **SHAPES["grouped heads"])
    folder, decoder = adapter(tmp_path / "adapter", base, target_modules=modules), ours(base)
    before = said(decoder)
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=ATTENTION)
    merged = PeftModel.from_pretrained(model, folder).merge_and_unload(safe_merge=True).eval()
    mine = said(decoder.adapted(folder))
    assert np.array_equal(mine, said(TransformersDecoder(aligned(merged))))
    assert not np.array_equal(mine, before)
    assert np.array_equal(said(decoder), before), "the base stays as it was"


@pytest.mark.parametrize("name", ["model.layers.7.self_attn.v_proj", "model.norm", "model.embed_tokens", "lm_head", ""])
def test_an_adapter_of_what_is_not_there_is_refused(name, tmp_path):
    base = saved(tmp_path / "base", **SHAPES["grouped heads"])
    folder = adapter(tmp_path / "adapter", base, target_modules=["v_proj"])
    pair = {f"base_model.model.{name}.lora_{part}.weight": torch.ones(64, 64) for part in "AB"}
    save_file(load_file(folder / WEIGHTS_FILE) | pair, folder / WEIGHTS_FILE)
    with pytest.raises(InvalidInput, match=f"there is no {name} in it"):
        ours(base).adapted(folder)


OLD = {"model_type": "llama", **SIZES, "num_attention_heads": 4}
WRITTEN = {
    "the least": OLD,
    "an old one": OLD | {"rope_theta": 5e5, "rope_scaling": None, "num_key_value_heads": None, "head_dim": None},
    "grouped": OLD | {"num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 77},
    "of today": OLD | {"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}, "head_dim": 32},
    "an old scaling that scales nothing": OLD | {"rope_scaling": {"type": "default"}},
    "other constants": OLD | {"rms_norm_eps": 1e-5, "unknown_to_us": [1]},
}


@pytest.mark.parametrize("config", WRITTEN.values(), ids=WRITTEN)
def test_a_configuration_means_what_transformers_says_it_does(config):
    assert llama.unfit(config) is None
    shape, told = llama.Shape.of(config), LlamaConfig.from_dict(dict(config)).to_dict()
    flat = told | {"rope_theta": told["rope_parameters"]["rope_theta"]}
    assert shape.model_dump() == {name: flat[name] for name in llama.Shape.model_fields}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (OLD | {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type linear"),
        (OLD | {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_type llama3"),
        (OLD | {"quantization_config": {"quant_method": "gptq"}}, "weights that are quantised already"),
        ({}, "model_type None"),
    ],
)
def test_what_is_of_another_shape_is_named(config, why):
    assert llama.unfit(config) == why


BROKEN = {
    "no object": "[]",
    "no JSON": "{",
    "a word for a number": json.dumps(OLD | {"num_hidden_layers": "many"}),
    "no sizes": json.dumps({"model_type": "llama"}),
    "more layers than its weights": json.dumps(OLD | {"num_hidden_layers": 4}),
    **{
        f"another {name}": json.dumps(OLD | {name: size})
        for name, size in {
            "hidden_size": 128,
            "intermediate_size": 161,
            "head_dim": 8,
            "num_key_value_heads": 2,
            "num_attention_heads": 3,
            "vocab_size": 301,
        }.items()
    },
}


TOLD = {
    "no object": "no JSON object",
    "no JSON": "Expecting property name",
    "a word for a number": r"num_hidden_layers: 'many'",
    "no sizes": "vocab_size: None",
    "more layers than its weights": r"hold no model\.layers\.3\.self_attn\.q_proj",
    "another hidden_size": r"should be \(\d+, 128\)",
    "another intermediate_size": r"should be \(161, 64\)",
    "another head_dim": r"should be \(32, 64\)",
    "another num_key_value_heads": r"k_proj is \(64, 64\), and should be \(32, 64\)",
    "another num_attention_heads": r"should be \(63, 64\)",
    "another vocab_size": r"should be \(301, 64\)",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_configuration_that_cannot_be_served_is_refused_by_the_models_name(weights, name, tmp_path):
    if weights == "int8" and not int8.fast():
        pytest.skip("this processor has no instructions for 8-bit products")
    folder = saved(tmp_path, num_attention_heads=4)
    tiny = Path(locate("tiny"))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((tiny / file).read_bytes())
    load_base(str(folder), 64, weights=weights)
    (folder / "config.json").write_text(BROKEN[name])
    with pytest.raises(NotFound, match="cannot be loaded") as told:
        load_base(str(folder), 64, weights=weights)
    assert "\n" not in str(told.value)
    assert re.search(TOLD[name], str(told.value)), told.value


def test_a_model_of_another_shape_is_transformers_own(tmp_path):
    Qwen2ForCausalLM(Qwen2Config(**SIZES, num_attention_heads=4)).save_pretrained(tmp_path)
    tiny = Path(locate("tiny"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    assert isinstance(load_base(str(tmp_path), 64, weights="float32").decoder, TransformersDecoder)


LOADED = """
import sys
from pathlib import Path
from services.generator.modelserver.app import application
from services.generator.modelserver.fleet import Fleet
from services.generator.modelserver.models import load_base
load_base("tiny", 512, weights=sys.argv[1])
print(*({"transformers.modeling_utils", "torch._dynamo", "sympy", "peft"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("weights", "loaded"), [("float32", False), ("int8", False), ("bfloat16", True)])
def test_a_server_of_our_own_weights_loads_no_compiler_and_no_model_of_transformers(weights, loaded):
    command = [sys.executable, "-c", LOADED, weights]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert bool(told) is loaded
