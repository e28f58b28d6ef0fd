"""The fingerprint by which a server proves that it serves this adapter, and not the base model or another scale."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

import torch

from archloop.contracts.adapter import Probe
from services.trainer.errors import TrainingRefused
from services.trainer.pairs import prompt_ids

MAX_NEW_TOKENS = 64
_PROMPTS = 4
_NEAR_TIE = 1e-3


class Choice(NamedTuple):
    """The likeliest token, its log-probability and its lead over the second, in nats."""

    token: int
    logprob: float
    lead: float


def take(model: Any, tokenizer: Any, prompts: Iterable[str]) -> Probe:
    """Decode the first telling prompt greedily in fp32, with the adapter merged into `model` (for good) and without it.

    The text ends before the first near-tie, which another batch size or thread count might break the other way.
    `logprob` sums over the generated tokens, an end of sequence included; the texts leave special tokens out.
    Raises TrainingRefused if no prompt tells the two apart.
    """
    model.eval()
    ends = end_ids(model, tokenizer)
    for prompt in islice(dict.fromkeys(prompts), _PROMPTS):
        ids = prompt_ids(prompt, tokenizer)
        with model.disable_adapter():
            base = greedy(model, ids, ends, MAX_NEW_TOKENS)
        if _tells(_probe(prompt, tokenizer, greedy(model, ids, ends, MAX_NEW_TOKENS), base)):
            return _probe(prompt, tokenizer, greedy(model.merge_and_unload(), ids, ends, MAX_NEW_TOKENS), base)
    raise TrainingRefused(
        "the adapter answers as the base model does, so no server could prove that it serves it; "
        "training.learning_rate or training.epochs is too low, or the pairs say nothing new"
    )


@torch.inference_mode()
def greedy(model: Any, ids: list[int], ends: frozenset[int], max_new_tokens: int) -> list[Choice]:
    """At most `max_new_tokens` choices after the prompt's `ids`, up to and including an end of sequence.

    transformers' `generate` would heed what the model's generation_config says, for instance a repetition penalty.
    """
    choices: list[Choice] = []
    cache, step = None, ids
    while len(choices) < max_new_tokens and not (choices and choices[-1].token in ends):
        out = model(input_ids=torch.tensor([step], device=model.device), past_key_values=cache, use_cache=True)
        (best, second), (token, _) = (two.tolist() for two in out.logits[0, -1].float().log_softmax(-1).topk(2))
        choices.append(Choice(token, best, best - second))
        cache, step = out.past_key_values, [token]
    return choices


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens at which a server stops: the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id
    several = own if isinstance(own, list) else [own]
    return frozenset({tokenizer.eos_token_id, *several} - {None})


def _probe(prompt: str, tokenizer: Any, tuned: list[Choice], base: list[Choice]) -> Probe:
    def text(choices: list[Choice]) -> str:
        tokens = [choice.token for choice in choices]
        return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    length = max(1, next((i for i, choice in enumerate(tuned) if choice.lead < _NEAR_TIE), MAX_NEW_TOKENS))
    return Probe(
        prompt=prompt,
        max_new_tokens=length,
        text=text(tuned[:length]),
        logprob=sum(choice.logprob for choice in tuned[:length]),
        base_text=text(base[:length]),
        base_logprob=sum(choice.logprob for choice in base[:length]),
    )


def _tells(probe: Probe) -> bool:
    """Twice the tolerance, so that an answer cannot lie within it of both."""
    return probe.text != probe.base_text or abs(probe.logprob - probe.base_logprob) > 2 * probe.tolerance
