"""The fingerprint by which a server proves that it serves this adapter, and not the base model or another scale."""

from typing import Any, NamedTuple

import torch

from archloop.contracts.adapter import Probe
from services.trainer.errors import TrainingRefused
from services.trainer.pairs import prompt_ids

MAX_NEW_TOKENS = 64
_NEAR_TIE = 1e-3


class Decoded(NamedTuple):
    """Greedy tokens, end of sequence included; for each its log-probability and its lead over the second, in nats."""

    tokens: list[int]
    logprobs: list[float]
    leads: list[float]


def take(model: Any, tokenizer: Any, prompt: str) -> Probe:
    """Decode greedily in fp32 with the adapter merged, and without it. The adapter is merged into `model` for good.

    The text ends before the first near-tie, which another batch size or thread count might break the other way.
    `logprob` sums over the generated tokens, an end of sequence included; the texts leave special tokens out.
    Raises TrainingRefused if the two cannot be told apart.
    """
    ids = prompt_ids(prompt, tokenizer)
    model.eval()
    with model.disable_adapter():
        base = greedy(model, tokenizer, ids, MAX_NEW_TOKENS)
    tuned = greedy(model.merge_and_unload(), tokenizer, ids, MAX_NEW_TOKENS)
    length = max(1, next((i for i, lead in enumerate(tuned.leads) if lead < _NEAR_TIE), MAX_NEW_TOKENS))
    return _distinct(_probe(prompt, tokenizer, length, tuned, base))


@torch.inference_mode()
def greedy(model: Any, tokenizer: Any, ids: list[int], max_new_tokens: int) -> Decoded:
    """At most `max_new_tokens` tokens after the prompt's `ids`."""
    prompt = torch.tensor([ids], device=model.device)
    out = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    best = torch.cat(out.logits).float().log_softmax(-1).topk(2).values
    return Decoded(out.sequences[0, len(ids) :].tolist(), best[:, 0].tolist(), (best[:, 0] - best[:, 1]).tolist())


def _probe(prompt: str, tokenizer: Any, length: int, tuned: Decoded, base: Decoded) -> Probe:
    def text(decoded: Decoded) -> str:
        kept = decoded.tokens[:length]
        return str(tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    return Probe(
        prompt=prompt,
        max_new_tokens=length,
        text=text(tuned),
        logprob=sum(tuned.logprobs[:length]),
        base_text=text(base),
        base_logprob=sum(base.logprobs[:length]),
    )


def _distinct(probe: Probe) -> Probe:
    if probe.text == probe.base_text and abs(probe.logprob - probe.base_logprob) <= probe.tolerance:
        raise TrainingRefused(
            "the adapter answers as the base model does, so no server could prove that it serves it; "
            "training.learning_rate or training.epochs is too low, or the pairs say nothing new"
        )
    return probe
