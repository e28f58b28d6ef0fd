"""The corpus: prompts exactly as in a run, answered by the seed program."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from archloop import answers, protocols
from archloop.training_pairs import TrainingPair
from services.generator import prompts, seeds

_PROTOCOLS = ("shapes", "shapes", "shapes", "digits", "mnist5k")


class Example(NamedTuple):
    """Text that the LM reads, text that it is to write, and the seed network inside."""

    pair: TrainingPair
    seed: seeds.Seed


def write(
    seed: int,
    files: int,
    *,
    template: str = "brief",
    among: Sequence[str] = _PROTOCOLS,
) -> list[Example]:
    """Write so many examples, families in rotation, each from its own stream of the seed, for one `among` protocols."""
    streams = (random.Random(f"corpus {seed} {index}") for index in range(files))  # noqa: S311
    return [_example(rng, index, template, among) for index, rng in enumerate(streams)]


def _example(rng: random.Random, index: int, template: str, among: Sequence[str]) -> Example:
    protocol = protocols.load(rng.choice(among))
    prompt = prompts.render(template, protocol=protocol, rng=rng, index=index)
    seed = seeds.write(rng, prompt.family, prompt.brief)
    return Example(TrainingPair(prompt=prompt.text, completion=answers.render(seed.code)), seed)
