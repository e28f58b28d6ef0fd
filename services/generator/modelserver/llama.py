"""What models of Llama's shape have in common: their sizes, the names of their modules, their rotary embedding."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt
from torch import Tensor

from archloop.errors import InvalidInput
from archloop.validation import checked
from services.generator.modelserver.checkpoint import Checkpoint

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
NORMS = ("input_layernorm", "post_attention_layernorm")
EMBEDDINGS, NORM, HEAD = "model.embed_tokens", "model.norm", "lm_head"


class Shape(BaseModel):
    """Sizes and constants of a model, named and by default as in transformers' LlamaConfig."""

    model_config = ConfigDict(frozen=True)

    vocab_size: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    head_dim: PositiveInt
    max_position_embeddings: PositiveInt = 2048
    rms_norm_eps: PositiveFloat = 1e-6
    rope_theta: PositiveFloat = 10_000.0
    tie_word_embeddings: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Read what a config.json says, of today or of older versions of transformers. Raises ValueError."""
        heads = config.get("num_attention_heads")
        filled = {
            "num_key_value_heads": heads,
            "head_dim": config.get("hidden_size", 0) // heads if heads else None,
            "rope_theta": _rope(config).get("rope_theta"),
        }
        known = {name: value for name, value in (*filled.items(), *config.items()) if value is not None}
        try:
            return checked(cls, known, "config.json")
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @property
    def parameters(self) -> int:
        """About how many parameters it has."""
        hidden, intermediate = self.hidden_size, self.intermediate_size
        return self.vocab_size * hidden + self.num_hidden_layers * hidden * (2 * hidden + 3 * intermediate)

    @property
    def products(self) -> Iterable[str]:
        """Names of all linear modules of its layers: what an adapter may change."""
        return (module(layer, name) for layer in range(self.num_hidden_layers) for name in ATTENTION + MLP)

    @property
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        """Sizes of weights by the last part of their modules' names."""
        hidden, between = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (queries, hidden),
            "k_proj": (keys, hidden),
            "v_proj": (keys, hidden),
            "o_proj": (hidden, queries),
            "gate_proj": (between, hidden),
            "up_proj": (between, hidden),
            "down_proj": (hidden, between),
            "embed_tokens": (self.vocab_size, hidden),
            "lm_head": (self.vocab_size, hidden),
            **dict.fromkeys(("norm", *NORMS), (hidden,)),
        }

    def turns(self, max_length: int) -> tuple[Tensor, Tensor]:
        """Return cosines, and sines with the sign of what they turn, (max_length, head size) each."""
        steps = torch.arange(0, self.head_dim, 2).float() / self.head_dim
        angles = torch.outer(torch.arange(max_length).float(), 1.0 / self.rope_theta**steps)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), 1), torch.cat((-sin, sin), 1)


@dataclass(frozen=True)
class Source:
    """Weights of a model in its files, each of the size that its shape asks for."""

    shape: Shape
    checkpoint: Checkpoint

    def weight(self, name: str) -> Tensor:
        """Return a module's weight in float32. Raises ValueError for one that is not there, or of another size."""
        if f"{name}.weight" not in self.checkpoint:
            raise ValueError(f"its files hold no {name}")
        weight, size = self.checkpoint.weight(f"{name}.weight"), self.shape.sizes[name.rpartition(".")[2]]
        if weight.shape != size:
            raise ValueError(f"{name} is {tuple(weight.shape)}, and should be {size} by its config.json")
        return weight

    def head(self, embeddings: Tensor) -> Tensor:
        """Return the weight (V, hidden) of what gives the logits."""
        return embeddings if self.shape.tie_word_embeddings else self.weight(HEAD)


def unfit(config: Mapping[str, Any]) -> str | None:
    """Return why a model of this config.json is not of Llama's shape, or None where it is."""
    rope, act = _rope(config), config.get("hidden_act", "silu")
    kind = rope.get("rope_type", rope.get("type", "default"))
    wrong = {
        f"model_type {config.get('model_type')}": config.get("model_type") != "llama",
        "a bias": config.get("attention_bias") or config.get("mlp_bias"),
        f"hidden_act {act}": act != "silu",
        f"rope_type {kind}": kind != "default",
        "weights that are quantised already": "quantization_config" in config,
    }
    return next((what for what, found in wrong.items() if found), None)


def module(layer: int, name: str) -> str:
    """Return the whole name of a layer's module."""
    return f"model.layers.{layer}.{name}"


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or config.get("rope_scaling") or {}
