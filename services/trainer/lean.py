"""The leanest training loop that does the job: AdamW, linear warm-up and decay, batches of similar length."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import get_linear_schedule_with_warmup

from archloop.contracts.spec import TrainingSpec
from services.trainer.pairs import IGNORED, Example

OnStep = Callable[[int, int, float], None]
_CLIP = 1.0


def train(
    model: Any, examples: Sequence[Example], spec: TrainingSpec, *, tokenizer: Any, seed: int, on_step: OnStep
) -> list[float]:
    """Train in place; return the loss of every step, in nats per completion token."""
    torch.manual_seed(seed)
    rng = random.Random(seed)  # noqa: S311
    plan = [batch for _ in range(spec.passes(len(examples))) for batch in batches(examples, spec.batch_size, rng)]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warm_up(len(plan)), len(plan))
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(plan, 1):
        loss = model(**collate(batch, tokenizer.pad_token_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, _CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        on_step(step, len(plan), losses[-1])
    return losses


def warm_up(steps: int) -> int:
    """The steps over which the learning rate rises: a tenth, none in very short trainings."""
    return steps // 10


def batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """All examples once, grouped by length so that little is padded, the groups in random order."""
    shuffled = sorted(rng.sample(examples, len(examples)), key=lambda example: len(example.input_ids))
    groups = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    rng.shuffle(groups)
    return groups


def collate(batch: Sequence[Example], pad: int) -> dict[str, Any]:
    """What the model is called with: ids and mask (batch, longest), padded on the right, and the labels (batch, kept).

    Logits are asked for from the last prompt token on: over a prompt that all share nothing is learnt.
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
