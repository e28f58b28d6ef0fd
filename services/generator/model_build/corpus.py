"""The corpus: prompts exactly as in a run, answered by the seed program."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from archloop import answers, protocols, remembering
from archloop.answers import edits
from archloop.contracts.values import Family, Remembered
from archloop.protocols import Protocol
from archloop.training_pairs import TrainingPair
from services.generator import prompts, seeds
from services.generator.prompts import BriefParameters, Original
from services.generator.seeds import memories
from services.generator.seeds.failures import failed
from services.generator.seeds.memories import Memory

VARIED = ("shapes", "shapes", "digits", "mnist5k", "cifar10")
_SHAPES = ((1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (3, 64, 64))
_DRAWN = 8
_REMEMBERED = (1, 8)
_FAILED = (0, 0, 1, 3)
_MUTATED = (0, 0, 1, 2, 4)


class Kinds(NamedTuple):
    """Shares of the prompts that show a network and ask for an edit of it, and of those that hold a memory.

    An edit makes so many `changes`, the first of them the one that the prompt names.
    """

    edits: float = 0.0
    memory: float = 0.0
    changes: int = 1


PLAIN = Kinds()


class Example(NamedTuple):
    """Text that the LM reads, text that it is to write, and the seed network that comes of it.

    `words` are the prompt without the code and the memory in it.
    """

    pair: TrainingPair
    seed: seeds.Seed
    words: str
    memory: tuple[Remembered, ...] = ()


class _Task(NamedTuple):
    """Draws of one example: the brief, and what the prompt remembers."""

    rng: random.Random
    protocol: Protocol
    family: Family
    brief: BriefParameters
    memory: Memory


def write(
    seed: int,
    files: int,
    *,
    template: str = "brief",
    among: Sequence[str] = VARIED,
    kinds: Kinds = PLAIN,
) -> list[Example]:
    """Write so many examples, families in rotation, each from its own stream of the seed, for one `among` protocols."""
    streams = (random.Random(f"corpus {seed} {index}") for index in range(files))  # noqa: S311
    return [_example(rng, index, template, among, kinds) for index, rng in enumerate(streams)]


def _example(rng: random.Random, index: int, template: str, among: Sequence[str], kinds: Kinds) -> Example:
    task = _task(rng, index, template, among, kinds)
    return _edit(task, kinds.changes) if rng.random() < kinds.edits else _whole(task, template)


def _task(rng: random.Random, index: int, template: str, among: Sequence[str], kinds: Kinds) -> _Task:
    protocol, family = _protocol(rng, among), list(Family)[index % len(Family)]
    brief = prompts.draw_brief(rng, prompts.budgets(template))
    memory = _memory(rng, brief) if rng.random() < kinds.memory else Memory()
    return _Task(rng, protocol, family, brief, memory)


def _memory(rng: random.Random, brief: BriefParameters) -> Memory:
    memory = memories.remembered(rng, partial(_any, rng, brief), rng.randint(*_REMEMBERED))
    return memory._replace(lines=(*memory.lines, *failed(rng, rng.choice(_FAILED))))


def _protocol(rng: random.Random, among: Sequence[str]) -> Protocol:
    """Return one of them; in a varied corpus every second with data of another size, so that any can be asked for."""
    protocol = protocols.load(rng.choice(among))
    if among is not VARIED or rng.random() < 0.5:
        return protocol
    shape, classes = rng.choice(_SHAPES), rng.choice((10, 10, 100))
    data = {"shape": shape, "classes": classes, "train": rng.randint(5, 500) * 100}
    dataset = protocol.dataset.model_copy(update=data)
    return protocol.model_copy(update={"dataset": dataset, "batch": rng.choice((16, 32, 64, 128))})


def _any(rng: random.Random, brief: BriefParameters) -> seeds.Design:
    """Return a design as an earlier prompt of the run might have led to."""
    return seeds.draw(rng, rng.choice(list(Family)), prompts.draw_brief(rng, [brief.budget]))


def _whole(task: _Task, template: str) -> Example:
    design = seeds.draw(task.rng, task.family, task.brief)
    if task.memory.best is not None:
        design = memories.following(task.rng, design, task.memory.best)
    code = seeds.render(design)
    ask = partial(prompts.ask, template, protocol=task.protocol, family=task.family, brief=task.brief)
    pair = TrainingPair(prompt=ask(memory=task.memory.lines).text, completion=answers.render(code))
    return Example(pair, seeds.Seed(code, task.family, task.brief, design), _words(ask, task), task.memory.lines)


def _edit(task: _Task, changes: int) -> Example:
    parent = _parent(task.rng, task.brief)
    focus = task.rng.choice(prompts.FOCUSES)
    drawn = [_changed(task, parent, focus, changes) for _ in range(_DRAWN)]
    design = memories.nearest(drawn, task.memory.best) if task.memory.best is not None else drawn[0]
    before, after = edits.prepared(seeds.render(parent)), seeds.render(design)
    if before == after:
        return _edit(task, changes)
    accuracy = memories.accuracy(task.rng)
    ask = partial(prompts.ask_edit, protocol=task.protocol, family=task.family, brief=task.brief, focus=focus)
    text = ask(original=Original(before, accuracy), memory=task.memory.lines).text
    pair = TrainingPair(prompt=text, completion=edits.render(before, after))
    words = _words(partial(ask, original=Original("", accuracy)), task)
    return Example(pair, seeds.Seed(after, design.family, task.brief, design), words, task.memory.lines)


def _changed(task: _Task, parent: seeds.Design, focus: str, changes: int) -> seeds.Design:
    design = seeds.mutate(task.rng, parent, focus, task.family)
    for _ in range(changes - 1):
        design = seeds.mutate(task.rng, design)
    return design


def _parent(rng: random.Random, brief: BriefParameters) -> seeds.Design:
    """Return a design as edits of a run may have left it."""
    design = _any(rng, brief)
    for _ in range(rng.choice(_MUTATED)):
        design = seeds.mutate(rng, design)
    return design


def _words(ask: Callable[..., prompts.Prompt], task: _Task) -> str:
    text = ask(memory=task.memory.lines).text
    for each in task.memory.lines:
        text = text.replace(f"- {remembering.line(each)}\n", "")
    return text
