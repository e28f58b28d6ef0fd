"""Training from scratch: a Llama-shaped network of a little over a million parameters, fixed number of steps.

The learning rate matters: at 5e-3 and more it learns to write as well, but never to copy what a prompt shows.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BATCH = 8
_RATE = 1e-3
_WARM_UP = 100
_WINDOW = 16
_IGNORED = -100
_BOS, _SPECIAL = 0, 3  # the first tokens of the vocabulary
Sequences = Sequence[tuple[list[int], list[int]]]
Progress = Callable[[str, int, int], None]


class Lesson(NamedTuple):
    """So many steps of copying passages of so many tokens. Long ones are only learnt by who can copy short ones."""

    shortest: int
    longest: int
    steps: int


def untrained(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return the network before its first step, in float32."""
    torch.manual_seed(seed)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        **ids,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.9, top_p=0.98, max_new_tokens=512, **ids)
    return model


def repeats(vocabulary: int, lesson: Lesson, seed: int) -> Sequences:
    """Return random tokens, and as completion the same from somewhere in their first half on, enough for the lesson.

    Nothing can be learnt from these but to copy. Their lengths are spread evenly on a scale of logarithms.
    """
    rng = random.Random(f"repeats {seed} {lesson.longest}")  # noqa: S311
    low, growth = lesson.shortest, lesson.longest / lesson.shortest
    lengths = [round(low * growth ** rng.random()) for _ in range(lesson.steps * BATCH)]
    repeated = [[rng.randrange(_SPECIAL, vocabulary) for _ in range(length)] for length in lengths]
    return [([_BOS, *ids], ids[rng.randrange(len(ids) // 2) :]) for ids in repeated]


def fit(model: LlamaForCausalLM, examples: Sequences, *, steps: int, seed: int, progress: Progress) -> float:
    """Train in place on (prompt ids, completion ids), with the loss on completions; return the mean loss of the end."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    model.train()
    recent: list[float] = []
    for step, batch in enumerate(_batches(examples, steps, seed), 1):
        loss = _loss(model, *batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent = [*recent[-49:], loss.item()]
        progress("training", step, steps)
    model.eval()
    return sum(recent) / len(recent)


def _loss(model: LlamaForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss per token of the answers; of the prompts no logits are computed."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    following = labels[:, 1:]
    written = following != _IGNORED
    return cross_entropy(model.lm_head(hidden[written]), following[written])


def _rate(step: int, steps: int) -> float:
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _batches(examples: Sequences, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of similar length from a window of random examples, so that little is padded."""
    rng = random.Random(f"batches {seed}")  # noqa: S311
    window = min(len(examples) // BATCH, _WINDOW)
    while steps > 0:
        drawn = sorted(rng.sample(examples, window * BATCH), key=lambda pair: len(pair[0]) + len(pair[1]))
        queue = [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]
        rng.shuffle(queue)
        yield from map(_batch, queue[:steps])
        steps -= len(queue)


def _batch(examples: Sequences) -> tuple[Tensor, Tensor]:
    """Return ids and labels, padded on the right, where causal attention never looks, so that no mask is needed."""
    ids = [torch.tensor(prompt + completion) for prompt, completion in examples]
    labels = [torch.tensor([_IGNORED] * len(prompt) + completion) for prompt, completion in examples]
    padded = pad_sequence(labels, batch_first=True, padding_value=_IGNORED)
    return pad_sequence(ids, batch_first=True), padded
