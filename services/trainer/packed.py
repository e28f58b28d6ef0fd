"""Batches without padding: sequences end to end, each attending to itself, with logits for answers alone."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeVar

import torch
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from services.trainer import adapted
from services.trainer.pairs import IGNORED, Example, Preference

Item = TypeVar("Item", Example, Preference)
_ATTENTION = "archloop_packed"
_FULL = "full_attention"


class Packed(NamedTuple):
    """Sequences end to end: ids and positions (1, tokens), where each begins, and what is learnt at which places."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    starts: list[int]
    places: torch.Tensor
    targets: torch.Tensor


def pack(batch: Sequence[Example]) -> Packed:
    """Lay the examples end to end. What follows a place is its target, unless that is of the prompt or of the next."""
    ids = torch.tensor([token for example in batch for token in example.input_ids])
    positions = torch.cat([torch.arange(len(example.input_ids)) for example in batch])
    following = torch.tensor([label for example in batch for label in (*example.labels[1:], IGNORED)])
    places = (following != IGNORED).nonzero().flatten()
    starts = [0, *accumulate(len(example.input_ids) for example in batch)]
    return Packed(ids[None], positions[None], starts, places, following[places])


def bins(group: Sequence[Item], at_once: int, tokens: int) -> Iterator[list[Item]]:
    """Divide a step's examples, in their order, into batches of at most so many, and so many tokens together.

    An example that is longer has a batch of its own.
    """
    batch: list[Item] = []
    for example in group:
        full = sum(e.tokens for e in batch) + example.tokens > tokens
        if batch and (full or len(batch) == at_once):
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def loss(model: Any, batch: Sequence[Example]) -> torch.Tensor:
    """Return the sum of the answers' losses in nats. It needs `prepared`."""
    packed = pack(batch)
    return cross_entropy(_logits(model, packed), packed.targets, reduction="sum")


def log_probabilities(model: Any, batch: Sequence[Example]) -> torch.Tensor:
    """Return the log-probability of each answer in nats. It needs `prepared`."""
    packed = pack(batch)
    each = cross_entropy(_logits(model, packed), packed.targets, reduction="none")
    learnt = [len(example.labels) - example.labels.count(IGNORED) for example in batch]
    return -torch.stack([answer.sum() for answer in torch.split(each, learnt)])


def _logits(model: Any, packed: Packed) -> torch.Tensor:
    logits: torch.Tensor = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        cu_seq_lens_q=packed.starts,
        logits_to_keep=packed.places,
        use_cache=False,
    ).logits[0]
    return logits.float()


def possible(model: Any) -> bool:
    """Return whether the model can be told where sequences begin, and attends to all that is before a token."""
    base = model.get_base_model()
    kinds = set(getattr(base.config, "layer_types", None) or [_FULL])
    windowed = getattr(base.config, "sliding_window", None) is not None
    keeps = "logits_to_keep" in inspect.signature(base.forward).parameters
    told = getattr(base, "_supports_attention_backend", False)
    return bool(told and keeps and kinds == {_FULL} and not windowed)


@contextmanager
def prepared(model: Any) -> Iterator[None]:
    """Let the model take packed batches, and compute its adapter at once with the layers that it adapts."""
    base = model.get_base_model()
    before = base.config._attn_implementation  # noqa: SLF001 - it can be set, and has no name to be read by
    base.set_attn_implementation(_ATTENTION)
    try:
        with adapted.fused(model):
            yield
    finally:
        base.set_attn_implementation(before)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: Sequence[int],
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence as if it were alone: a mask over all of them would cost the square of all."""
    parts = [
        sdpa_attention_forward(module, query[:, :, own], key[:, :, own], value[:, :, own], attention_mask, **rest)[0]
        for own in (slice(*bounds) for bounds in pairwise(cu_seq_lens_q))
    ]
    return torch.cat(parts, dim=1), None


AttentionInterface.register(_ATTENTION, _attend)
AttentionMaskInterface.register(_ATTENTION, lambda *_, **__: None)
