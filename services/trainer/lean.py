"""A minimal training loop: AdamW, linear warm-up and decay, batches of similar length.

Small models are given padded batches, large ones packed batches and answers' logits alone.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import get_linear_schedule_with_warmup

from services.trainer import packed, preference
from services.trainer.job import Job, Point, Progress
from services.trainer.pairs import IGNORED, Example, Items, Preference
from services.trainer.plan import CLIP, LARGE, Machine
from services.trainer.preference import LogProbabilities

Item = TypeVar("Item", Example, Preference)
Bins = Callable[[Sequence[Preference]], Iterator[Sequence[Preference]]]
Backward = Callable[[Sequence[Any]], float]


def train(
    model: Any,
    examples: Items,
    job: Job,
    machine: Machine,  # noqa: ARG001 - the model is loaded as it says, and the loop is for the CPU
    *,
    tokenizer: Any,
    report: Callable[[Progress], None],
) -> list[Point]:
    """Train in place; return every step's loss. It leaves no checkpoints.

    The loss is in nats per completion token, or per preference, of which dropout has no part, as with TRL.
    """
    spec = job.training
    torch.manual_seed(job.seed)
    rng = random.Random(job.seed)  # noqa: S311
    passes = range(spec.passes(len(examples)))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    steps = spec.steps(len(examples))
    schedule = get_linear_schedule_with_warmup(optimizer, spec.warm_up(len(examples)), steps)
    points, tokens = [], 0
    model.train(spec.method != "dpo")
    with _learning(model, examples, job, tokenizer) as (items, backward):
        plan = [group for _ in passes for group in batches(items, spec.effective_batch, rng)]
        for step, group in enumerate(plan, 1):
            loss = backward(group)
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            tokens += sum(example.tokens for example in group)
            points.append(Point(loss, tokens))
            report(Progress(step=step, steps=steps, loss=loss, tokens=tokens))
    return points


@contextmanager
def _learning(model: Any, items: Items, job: Job, tokenizer: Any) -> Iterator[tuple[Sequence[Any], Backward]]:
    """Yield what the steps are made of, and the way in which the model is given a step's part of it."""
    if job.training.method != "dpo":
        with _backward(model, job, tokenizer) as backward:
            yield items, backward
        return
    with _preferring(model, job, tokenizer) as (of, batched):
        beta = job.training.beta
        ordered: Sequence[Any] = sorted(items, key=lambda item: item.tokens)
        yield (
            preference.referred(of, batched(ordered)),
            lambda group: preference.backward(of, batched(group), beta, len(group)),
        )


@contextmanager
def _preferring(model: Any, job: Job, tokenizer: Any) -> Iterator[tuple[LogProbabilities, Bins]]:
    """Yield how log-probabilities are computed, and how a step's preferences are batched."""
    at_once = job.batches.batch_size
    if _small(model):
        of = partial(padded_log_probabilities, model, pad=tokenizer.pad_token_id)
        yield of, lambda group: (group[start : start + at_once] for start in range(0, len(group), at_once))
        return
    with packed.prepared(model):
        of = partial(packed.log_probabilities, model)
        yield of, partial(packed.bins, at_once=at_once, tokens=job.training.max_length)


def _small(model: Any) -> bool:
    """Whether the model is given padded batches."""
    return model.num_parameters() < LARGE or not packed.possible(model)


@contextmanager
def _backward(model: Any, job: Job, tokenizer: Any) -> Iterator[Backward]:
    """Yield the way in which the model is given a step's examples."""
    at_once = job.batches.batch_size
    if _small(model):
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


def padded_log_probabilities(model: Any, batch: Sequence[Example], pad: int) -> torch.Tensor:
    """Return the log-probability of each answer in nats."""
    arguments = collate(batch, pad)
    targets = arguments.pop("labels")[:, 1:]
    logits = model(**arguments, use_cache=False).logits[:, :-1].float()
    return -cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none").sum(dim=1)


def _learnt(example: Example) -> int:
    return len(example.labels) - example.labels.count(IGNORED)


def batches(examples: Sequence[Item], size: int, rng: random.Random) -> list[list[Item]]:
    """Group all examples once by length, so that little is padded, and return the groups in random order."""
    shuffled = sorted(rng.sample(examples, len(examples)), key=lambda example: example.tokens)
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
