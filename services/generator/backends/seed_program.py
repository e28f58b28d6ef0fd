"""The seed program in a model server's place: a rival without an LLM, for random search and for evolution.

A whole network is drawn at random; an edit is a mutation of the parent's design, which stands in its first line.
"""

import random
import re
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from archloop import answers
from archloop.answers import edits
from archloop.contracts.spec import SEED_PROGRAM
from archloop.contracts.values import Family, Usage, sha256_of
from archloop.errors import InvalidInput
from services.generator import prompts, seeds
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel

_DESIGN = TypeAdapter(seeds.Design)
_LINE = re.compile(r"^# design (\{[^\n]{1,4000}\})$", re.MULTILINE)
_FAMILY = re.compile(rf"(?:Family: |the block \()({'|'.join(Family)})\b")
_BUDGET = re.compile(r"[Aa]t most (\d[\d,]{0,12}) ?(?:parameters|\.)")
_FOCUS = re.compile(rf"\bChange ({'|'.join(prompts.FOCUSES)})\b")


class SeedProgram(Backend):
    """Writes by the seed program what an LLM is asked to write; it has no weights, so it takes no adapters."""

    @override
    async def ready(self) -> bool:
        return True

    @override
    async def base(self) -> ServedModel:
        return ServedModel(SEED_PROGRAM, sha256_of(SEED_PROGRAM))

    @override
    async def adapters(self) -> frozenset[str]:
        return frozenset()

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        rng, parent = _rng(seed), _parent(prompt)
        text = _mutated(rng, prompt, parent) if parent else answers.render(write(_drawn(rng, prompt)))
        return Answer(text, Usage(), "stop", None, 0.0)

    @override
    async def load(self, name: str, path: Path) -> None:
        raise InvalidInput("adapter", name, "none: the seed program learns nothing")

    @override
    async def adopt(self, name: str) -> None:
        """Do nothing: there are no adapters."""

    @override
    async def unload(self, name: str) -> None:
        """Do nothing: there are no adapters."""

    @override
    async def close(self) -> None:
        """Do nothing: there is no connection."""


def draw(prompt: str, seed: int | None) -> Answer:
    """Return a network of the family and size that the prompt asks for, as an LLM would answer it."""
    return Answer(answers.render(seeds.render(_drawn(_rng(seed), prompt))), Usage(), "stop", None, 0.0)


def write(design: seeds.Design) -> str:
    """Return the file of a design, with the design in its first line, so that it can be mutated."""
    return f"# design {_DESIGN.dump_json(design).decode()}\n{seeds.render(design)}"


def _rng(seed: int | None) -> random.Random:
    return random.Random(f"seed program {seed}")  # noqa: S311 - reproducible on purpose


def _parent(prompt: str) -> seeds.Design | None:
    """Return the design of the network that the prompt shows; None where it shows none of the seed program's."""
    lines = _LINE.findall(prompt)
    try:
        return _DESIGN.validate_json(lines[-1]) if lines else None
    except ValidationError:
        return None


def _mutated(rng: random.Random, prompt: str, parent: seeds.Design) -> str:
    focus, family = _FOCUS.search(prompt), _FAMILY.search(prompt)
    child = seeds.mutate(rng, parent, focus and focus[1], Family(family[1]) if family else None)
    return edits.render(write(parent), write(child))


def _drawn(rng: random.Random, prompt: str) -> seeds.Design:
    family, budget = _FAMILY.search(prompt), _BUDGET.search(prompt)
    wanted = int(budget[1].replace(",", "")) if budget else max(prompts.BUDGETS)
    fitting = [each for each in prompts.BUDGETS if each <= wanted] or [min(prompts.BUDGETS)]
    brief = prompts.draw_brief(rng, [max(fitting)])
    return seeds.draw(rng, Family(family[1]) if family else rng.choice(list(Family)), brief)
