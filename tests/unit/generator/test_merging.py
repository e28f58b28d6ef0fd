"""Adapters merged into a model of transformers: to the bit what peft makes of them, and nothing of the base touched."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from archloop.errors import InvalidInput, NotFound
from services.generator.modelserver import merging

TINY = LlamaConfig(
    vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, head_dim=8
)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WEIGHTS = "adapter_model.safetensors"


def model(dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(TINY).eval().to(dtype)


def adapter(folder: Path, **options: object) -> Path:
    """An adapter whose both matrices are random: a new one's B is zero."""
    settings = {"r": 8, "lora_alpha": 11, "target_modules": ALL, "task_type": "CAUSAL_LM"} | options
    tuned = get_peft_model(model(), LoraConfig(**settings))
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    tuned.save_pretrained(folder)
    return folder


def rewritten(folder: Path, **weights: torch.Tensor | None) -> Path:
    """The adapter with some weights in place of others, or without them."""
    kept = load_file(folder / WEIGHTS)
    names = {part: next(name for name in kept if part in name) for part in weights}
    changed = kept | {names[part]: weight for part, weight in weights.items()}
    save_file({name: weight for name, weight in changed.items() if weight is not None}, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"target_modules": ["v_proj"]}, {"r": 16}])
def test_peft_makes_the_same_of_it_to_the_bit(options, dtype, tmp_path):
    folder, base = adapter(tmp_path, **options), model(dtype)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    ours = merging.merged(base, folder).state_dict()
    theirs = PeftModel.from_pretrained(model(dtype), folder).merge_and_unload(safe_merge=True).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    changed = {name for name in ours if not torch.equal(ours[name], before[name])}
    assert changed == {name for name in before if name.split(".")[-2] in options.get("target_modules", ALL)}
    assert all(torch.equal(base.state_dict()[name], weight) for name, weight in before.items())


def test_what_the_adapter_leaves_alone_is_shared(tmp_path):
    base = model()
    tuned = merging.merged(base, adapter(tmp_path, target_modules=["v_proj"]))
    held = {name: weight.data_ptr() for name, weight in base.named_parameters()}
    own = {name for name, weight in tuned.named_parameters() if weight.data_ptr() != held[name]}
    assert own == {f"model.layers.{number}.self_attn.v_proj.weight" for number in range(2)}


@pytest.mark.parametrize(
    ("weights", "because"),
    [
        ({"lora_A": torch.zeros(8, 17)}, "cannot take"),
        ({"lora_B": torch.zeros(15, 8)}, "cannot take"),
        ({"lora_A": torch.full((8, 16), torch.nan)}, "NaNs"),
        ({"lora_A": torch.full((8, 16), 1e38), "lora_B": torch.full((16, 8), 1e38)}, "not finite"),
        ({"lora_A": None}, "pairs of lora_A and lora_B"),
        ({"lora_B": None}, "adapter of this base model"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, because, tmp_path):
    folder = rewritten(adapter(tmp_path, target_modules=["o_proj"]), **weights)
    with pytest.raises(InvalidInput, match=because):
        merging.merged(model(), folder)


@pytest.mark.parametrize("name", ["model.layers.7.self_attn.v_proj", "model.norm", "model.embed_tokens", "", "model"])
def test_what_is_no_linear_layer_of_the_base_is_refused(name, tmp_path):
    folder = adapter(tmp_path, target_modules=["v_proj"])
    pair = {f"base_model.model.{name}.lora_{part}.weight": torch.ones(size) for part, size in SIZES.items()}
    save_file(load_file(folder / WEIGHTS) | pair, folder / WEIGHTS)
    with pytest.raises(InvalidInput, match=f"there is no {name} in it"):
        merging.merged(model(), folder)


SIZES = {"A": (8, 16), "B": (50, 8)}


def test_what_other_servers_would_not_serve_is_refused(tmp_path):
    folder = adapter(tmp_path)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"bias": "all"}))
    with pytest.raises(InvalidInput, match="bias"):
        merging.merged(model(), folder)
    with pytest.raises(NotFound):
        merging.merged(model(), tmp_path / "nowhere")
