"""A minimal training loop: AdamW, linear warm-up and decay, batches of similar length.

Small models are given padded batches, large ones packed batches and answers' logits alone.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import get_linear_schedule_with_warmup

from services.trainer import packed
from services.trainer.job import Job, Point, Progress
from services.trainer.pairs import IGNORED, Example
from services.trainer.plan import CLIP, LARGE, Machine

Backward = Callable[[Sequence[Example]], float]


def train(
    model: Any,
    examples: Sequence[Example],
    job: Job,
    machine: Machine,  # noqa: ARG001 - the model is loaded as it says, and the loop is for the CPU
    *,
    tokenizer: Any,
    report: Callable[[Progress], None],
) -> list[Point]:
    """Train in place; return every step's loss, in nats per completion token. It leaves no checkpoints."""
    spec = job.training
    torch.manual_seed(job.seed)
    rng = random.Random(job.seed)  # noqa: S311
    passes = range(spec.passes(len(examples)))
    plan = [group for _ in passes for group in batches(examples, spec.effective_batch, rng)]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    schedule = get_linear_schedule_with_warmup(optimizer, spec.warm_up(len(examples)), len(plan))
    points, tokens = [], 0
    model.train()
    with _backward(model, job, tokenizer) as backward:
        for step, group in enumerate(plan, 1):
            loss = backward(group)
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            tokens += sum(len(example.input_ids) for example in group)
            points.append(Point(loss, tokens))
            report(Progress(step=step, steps=len(plan), loss=loss, tokens=tokens))
    return points


@contextmanager
def _backward(model: Any, job: Job, tokenizer: Any) -> Iterator[Backward]:
    """Yield the way in which the model is given a step's examples."""
    at_once = job.batches.batch_size
    if model.num_parameters() < LARGE or not packed.possible(model):
        yield partial(padded_backward, model, at_once=at_once, pad=tokenizer.pad_token_id)
        return
    with packed.prepared(model):
        yield partial(packed_backward, model, at_once=at_once, tokens=job.training.max_length)


def packed_backward(model: Any, group: Sequence[Example], at_once: int, tokens: int) -> float:
    """Add up the gradients of the group's mean loss, so many examples and tokens at once; return that loss."""
    learnt, total = sum(map(_learnt, group)), 0.0
    for batch in packed.bins(group, at_once, tokens):
        loss = packed.loss(model, batch) / learnt
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def padded_backward(model: Any, group: Sequence[Example], at_once: int, pad: int) -> float:
    """Add up the gradients of the group's mean loss, so many examples at once; return that loss."""
    learnt, total = sum(map(_learnt, group)), 0.0
    for start in range(0, len(group), at_once):
        batch = group[start : start + at_once]
        share = sum(map(_learnt, batch)) / learnt
        loss = model(**collate(batch, pad)).loss * share
        loss.backward()
        total += loss.item()
    return total


def _learnt(example: Example) -> int:
    return len(example.labels) - example.labels.count(IGNORED)


def batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Group all examples once by length, so that little is padded, and return the groups in random order."""
    shuffled = sorted(rng.sample(examples, len(examples)), key=lambda example: len(example.input_ids))
    groups = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    rng.shuffle(groups)
    return groups


def collate(batch: Sequence[Example], pad: int) -> dict[str, Any]:
    """Return the model's arguments: ids and mask (batch, longest), padded on the right, and labels (batch, kept).

    Logits are asked for from the last prompt token on, as nothing is learnt from the prompt that all share.
    """
    ids = [torch.tensor(example.input_ids) for example in batch]
    labels = pad_sequence([torch.tensor(e.labels) for e in batch], batch_first=True, padding_value=IGNORED)
    kept = labels.shape[1] + 1 - min(example.labels.count(IGNORED) for example in batch)
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad),
        "attention_mask": pad_sequence([torch.ones_like(i) for i in ids], batch_first=True),
        "labels": labels[:, -kept:],
        "logits_to_keep": kept,
    }
