"""Failures as a memory tells of them: what small networks do wrong, without a bearing on what is asked."""

import random

from archloop.contracts.values import Outcome, Remembered

_SAID = (
    (Outcome.BELOW_CHANCE, "predict", "accuracy 0.{chance:03}, chance is 0.100"),
    (Outcome.SHAPE_ERROR, "shape", "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x{a} and {b}x10)"),
    (Outcome.SHAPE_ERROR, "shape", "RuntimeError: Given input size: ({a}x1x1). Calculated output size: ({a}x0x0)."),
    (Outcome.TRAIN_ERROR, "train", "AttributeError: 'Net' object has no attribute 'criterion'"),
    (Outcome.BUILD_ERROR, "build", "NameError: name 'ConvUnit' is not defined"),
    (Outcome.SYNTAX_ERROR, "parse", "SyntaxError: unmatched ')'"),
    (Outcome.SYNTAX_ERROR, "parse", "SyntaxError: '(' was never closed"),
    (Outcome.CONTRACT_ERROR, "parse", "block {part} of the edit does not apply: its lines are not in the parent"),
    (Outcome.DIVERGED, "train", "loss is nan"),
    (Outcome.TIMEOUT, "train", ""),
)


def failed(rng: random.Random, count: int) -> tuple[Remembered, ...]:
    """Return so many failures of different kinds, or all kinds there are, the most frequent first."""
    drawn = rng.sample(_SAID, min(count, len(_SAID)))
    said = [_failure(rng, *each) for each in drawn]
    return tuple(sorted(said, key=lambda each: -each.count))


def _failure(rng: random.Random, outcome: Outcome, stage: str, text: str) -> Remembered:
    numbers = {"chance": rng.randint(50, 120), "a": 8 * rng.randint(1, 4), "b": 8 * rng.randint(1, 4)}
    shown = text.format(part=rng.randint(1, 3), **numbers)
    return Remembered(outcome=outcome, stage=stage, text=shown, count=rng.randint(1, 12))
