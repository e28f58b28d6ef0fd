"""Any causal language model of transformers, with attention over slots: no sequence depends on its neighbours.

Attention is done row by row over exactly that row's own length.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from typing_extensions import override

from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.merging import merged
from services.generator.modelserver.sampling import Logits
from services.generator.modelserver.slots import SlotCache, States, attended

ATTENTION = "archloop_slots"


def load(where: str, device: str, *, halved: bool) -> "TransformersDecoder":
    """Load a model from a folder or the hub, only safetensors, in float32 or `halved` to bfloat16."""
    dtype = torch.bfloat16 if halved else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        where, dtype=dtype, attn_implementation=ATTENTION, use_safetensors=True
    )
    return TransformersDecoder(model.eval().to(device))


class TransformersDecoder(Decoder):
    """A causal language model of transformers, with the attention of slots.

    Every step has the fixed shape (slots, 1), because matrix kernels compute a row differently in another shape.
    """

    width = 1

    def __init__(self, model: Any) -> None:
        self.model = model

    @override
    def cache(self, slots: int, capacity: int) -> SlotCache:
        return SlotCache(slots, capacity, device=self.model.device)

    @override
    def prefill(self, prompt: Sequence[int]) -> tuple[Logits, Iterable[States]]:
        cache, ids = DynamicCache(), torch.tensor([prompt], device=self.model.device)
        logits = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        after: Logits = logits[0, -1].float().cpu().numpy()
        return after, [States(layer.keys, layer.values) for layer in cache.layers]

    @override
    def step(self, fed: Mapping[int, Sequence[int]], cache: SlotCache) -> Mapping[int, NDArray[np.float32]]:
        device = self.model.device
        tokens = [fed.get(row, (0,)) for row in range(len(cache.lengths))]
        logits = self.model(
            input_ids=torch.tensor(tokens, device=device),
            position_ids=cache.positions()[:, None],
            attention_mask=torch.zeros(1, 1, 1, 1, device=device),
            past_key_values=cache,
            use_cache=True,
            lengths=cache.lengths,
        ).logits
        rows = logits.float().cpu().numpy()
        return {row: rows[row] for row in fed}

    @override
    def adapted(self, folder: Path) -> "TransformersDecoder":
        return TransformersDecoder(merged(self.model, folder))


def slot_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    lengths: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend with queries (slots, heads, 1, head size) over each row's own length; by SDPA without `lengths`."""
    if lengths is None:
        prefilled, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return prefilled, None
    out = attended(query, States(key, value), lengths, kwargs.get("scaling"), kwargs.get("sliding_window"))
    return out.transpose(1, 2), None


AttentionInterface.register(ATTENTION, slot_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
