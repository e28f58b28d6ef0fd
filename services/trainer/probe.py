"""The probe by which a server proves that it serves this adapter, and not the base model or another scale."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple

import torch

from archloop.contracts.adapter import Probe
from archloop.training_pairs import TrainingPair
from services.trainer.job import TrainingRefused
from services.trainer.pairs import prompt_ids
from services.trainer.plan import CPU, Machine, tolerance

MAX_NEW_TOKENS = 64
_PROMPTS = 4
# How coarse a server's logits are at most: where it has the model in fp32 only the order of summation differs.
_NEAR_TIE, _COARSE_NEAR_TIE = 0.05, 0.25


class Choice(NamedTuple):
    """The likeliest token, its log-probability and its lead over the second, in nats."""

    token: int
    logprob: float
    lead: float


def questions(pairs: Sequence[TrainingPair]) -> Iterator[str]:
    """Yield a few prompts of the pairs, then a few with half of the answer: where all begin alike the rest may tell."""
    yield from islice(dict.fromkeys(pair.prompt for pair in pairs), _PROMPTS)
    for pair in pairs[:_PROMPTS]:
        yield pair.prompt + pair.completion[: len(pair.completion) // 2]


def take(model: Any, tokenizer: Any, prompts: Iterable[str], machine: Machine = CPU) -> Probe:
    """Decode the first telling prompt greedily, with the adapter and without it.

    In fp32 it is merged into `model` (for good); in half precision that would round it, and servers do not merge.
    The text ends before the first near-tie, which another batch size, thread count or precision might break the other
    way, and before the first end of sequence, whose log-probability some servers do not tell. `logprob` sums over what
    is left; the texts leave special tokens out. Raises TrainingRefused if no prompt tells the two apart.
    """
    model.eval()
    ends = end_ids(model, tokenizer)
    for prompt in prompts:
        ids = prompt_ids(prompt, tokenizer)
        with model.disable_adapter():
            base = greedy(model, ids, ends, MAX_NEW_TOKENS)
        tuned = greedy(model, ids, ends, MAX_NEW_TOKENS)
        if tuned[0].token in ends or not _tells(_probe(prompt, tokenizer, tuned, base, ends, machine)):
            continue
        if machine.dtype == "float32":
            tuned = greedy(model.merge_and_unload(), ids, ends, MAX_NEW_TOKENS)
        return _probe(prompt, tokenizer, tuned, base, ends, machine)
    raise TrainingRefused(
        "the adapter answers as the base model does, so no server could prove that it serves it; "
        "training.learning_rate or training.epochs is too low, or the pairs say nothing new"
    )


@torch.inference_mode()
def greedy(model: Any, ids: list[int], ends: frozenset[int], max_new_tokens: int) -> list[Choice]:
    """Return at most `max_new_tokens` choices after the prompt's `ids`, up to and including an end of sequence.

    transformers' `generate` would heed the model's generation_config, for instance a repetition penalty.
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
    """Return the tokens at which a server stops: the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id
    several = own if isinstance(own, list) else [own]
    return frozenset({tokenizer.eos_token_id, *several} - {None})


def _probe(
    prompt: str, tokenizer: Any, tuned: list[Choice], base: list[Choice], ends: frozenset[int], machine: Machine
) -> Probe:
    def text(choices: list[Choice]) -> str:
        tokens = [choice.token for choice in choices]
        return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    near_tie = _COARSE_NEAR_TIE if machine.coarse else _NEAR_TIE
    sure = takewhile(lambda choice: choice.lead >= near_tie and choice.token not in ends, tuned)
    length = max(1, len(list(sure)))
    plain = list(takewhile(lambda choice: choice.token not in ends, base[:length]))
    return Probe(
        prompt=prompt,
        max_new_tokens=length,
        text=text(tuned[:length]),
        logprob=sum(choice.logprob for choice in tuned[:length]),
        base_text=text(plain),
        base_logprob=sum(choice.logprob for choice in plain),
        tolerance=tolerance(machine, length),
    )


def _tells(probe: Probe) -> bool:
    """Return whether the probe tells adapter and base apart.

    The difference is at least twice the tolerance, so that no answer lies within it of both.
    """
    return probe.text != probe.base_text or abs(probe.logprob - probe.base_logprob) > 2 * probe.tolerance
