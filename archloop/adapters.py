"""LoRA adapters as files: their names, and the shapes that every supported model server serves faithfully.

Source: TGI 3.3.7 (`adapters/lora.py`, which LoRAX shares) and vLLM 0.33.0 (`lora/peft_helper.py`). The trainer checks
before a training as well as after it, since nobody wants to learn it hours later, and the generator what it fetches.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from archloop.contracts.adapter import Rank
from archloop.errors import InvalidInput
from archloop.validation import expected

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)

_Module = Literal[
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "c_proj", "c_fc"
]


class ServableLora(BaseModel):
    """An adapter_config.json: these fields may have the values that are named here, any other is to be empty."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    peft_type: Literal["LORA"]
    r: Rank
    lora_alpha: Annotated[float, Field(gt=0)]
    target_modules: Annotated[list[_Module], Field(min_length=1)]
    bias: Literal["none"] = "none"
    init_lora_weights: bool | Literal["gaussian", "eva", "orthogonal"] = True
    use_rslora: bool = False
    lora_dropout: float = 0.0
    inference_mode: bool = True
    task_type: Literal["CAUSAL_LM"] | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    peft_version: str | None = None
    auto_mapping: Any = None
    eva_config: Any = None
    megatron_core: Any = None
    qalora_group_size: Any = None
    runtime_config: Any = None


_BECAUSE: Mapping[str, str] = {
    "peft_type": "TGI, LoRAX, vLLM and SGLang serve LoRA only",
    "task_type": "TGI and vLLM put adapters on causal language models only",
    "r": "vLLM has slots for these ranks only, and TGI pads others with a wrong scale",
    "target_modules": "TGI adapts no others",
    "bias": "vLLM rejects it, TGI ignores the trained biases",
    "lora_bias": "vLLM rejects it, TGI ignores it",
    "use_dora": "vLLM rejects it, TGI ignores the magnitudes",
    "use_qalora": "TGI and vLLM take lora_A for as wide as the layer, which QALoRA's is not",
    "modules_to_save": "vLLM rejects it, TGI ignores the saved modules",
    "trainable_token_indices": "TGI and vLLM read lora_A and lora_B, and ignore trained embeddings",
    "rank_pattern": "TGI reads one rank for all layers",
    "alpha_pattern": "TGI reads one alpha for all layers",
    "layers_to_transform": "TGI drops a layer type that is not adapted in every layer",
    "layer_replication": "vLLM rejects it",
    "alora_invocation_tokens": "vLLM rejects it, TGI adapts the prompt too",
    "target_parameters": "TGI and vLLM read module weights only",
    "megatron_config": "TGI and vLLM read transformers' layers, not Megatron's",
    "init_lora_weights": "vLLM rejects weights that changed the base, TGI ignores that",
}


def servable(config: Mapping[str, Any] | bytes) -> ServableLora:
    """Check an adapter's configuration, as values or as the content of its file.

    Raises InvalidInput that names the first field which some server does not serve, and the server.
    """
    content = config if isinstance(config, bytes) else to_json(config, serialize_unknown=True)
    try:
        lora = ServableLora.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else CONFIG_FILE
        raise InvalidInput(field, first["input"], _right(expected(first), field)) from error
    for name, value in sorted((lora.model_extra or {}).items()):
        if value:
            raise InvalidInput(name, value, _right("absent", name))
    return lora


def _right(what: str, field: str) -> str:
    return f"{what}: {_BECAUSE.get(field, 'not every model server serves it')}"
