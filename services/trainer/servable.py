"""LoRA adapters that every supported model server serves faithfully, and which server rejects or spoils the others.

Source: TGI 3.3.7 (`adapters/lora.py`, which LoRAX shares) and vLLM 0.33.0 (`lora/peft_helper.py`). Adapters are checked
before a training as well as after it, since nobody wants to learn it hours later.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from archloop.errors import InvalidInput

RANKS = (8, 16, 32, 64)
MODULES = frozenset(
    {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "c_proj", "c_fc"}
)


class _Rule(NamedTuple):
    allowed: tuple[object, ...]
    because: str


_ABSENT: tuple[object, ...] = (None, False, {}, [], "")
_RULES: Mapping[str, _Rule] = {
    "peft_type": _Rule(("LORA",), "TGI, LoRAX, vLLM and SGLang serve LoRA only"),
    "task_type": _Rule(("CAUSAL_LM", None), "TGI and vLLM put adapters on causal language models only"),
    "r": _Rule(RANKS, "vLLM has slots for these ranks only, and TGI pads others with a wrong scale"),
    "bias": _Rule(("none",), "vLLM rejects it, TGI ignores the trained biases"),
    "lora_bias": _Rule(_ABSENT, "vLLM rejects it, TGI ignores it"),
    "use_dora": _Rule(_ABSENT, "vLLM rejects it, TGI ignores the magnitudes"),
    "use_qalora": _Rule(_ABSENT, "TGI and vLLM take lora_A for as wide as the layer, which QALoRA's is not"),
    "modules_to_save": _Rule(_ABSENT, "vLLM rejects it, TGI ignores the saved modules"),
    "trainable_token_indices": _Rule(_ABSENT, "TGI and vLLM read lora_A and lora_B, and ignore trained embeddings"),
    "rank_pattern": _Rule(_ABSENT, "TGI reads one rank for all layers"),
    "alpha_pattern": _Rule(_ABSENT, "TGI reads one alpha for all layers"),
    "layers_to_transform": _Rule(_ABSENT, "TGI drops a layer type that is not adapted in every layer"),
    "layer_replication": _Rule(_ABSENT, "vLLM rejects it"),
    "alora_invocation_tokens": _Rule(_ABSENT, "vLLM rejects it, TGI adapts the prompt too"),
    "target_parameters": _Rule(_ABSENT, "TGI and vLLM read module weights only"),
    "megatron_config": _Rule(_ABSENT, "TGI and vLLM read transformers' layers, not Megatron's"),
    "init_lora_weights": _Rule(
        (True, False, "gaussian", "eva", "orthogonal"), "vLLM rejects weights that changed the base, TGI ignores that"
    ),
}


def check(config: Mapping[str, Any]) -> None:
    """Raise InvalidInput for the first field of an adapter_config.json that some server does not serve."""
    for field, rule in _RULES.items():
        if field in config and config[field] not in rule.allowed:
            raise _refusal(field, config[field], rule)
    if strange := sorted(set(config["target_modules"]) - MODULES):
        raise InvalidInput("target_modules", strange, f"only {', '.join(sorted(MODULES))}: TGI adapts no others")


def _refusal(field: str, value: object, rule: _Rule) -> InvalidInput:
    right = "absent" if rule.allowed is _ABSENT else " or ".join(map(str, rule.allowed))
    return InvalidInput(field, value, f"{right}: {rule.because}")
