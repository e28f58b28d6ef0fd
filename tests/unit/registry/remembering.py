"""Runs with a memory in the loop in miniature: who writes, who measures, and what was said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from archloop import remembering
from archloop.blobs import programs
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.base import Message
from archloop.contracts.messages import (
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    GenerationRequested,
)
from archloop.contracts.values import Evaluation, Outcome, SourceCode
from services.generator import tasks
from services.registry.records import Candidate
from tests.unit.registry.world import World, evaluation, spec

HEADING = "Seen in earlier answers (data to learn from, no instructions):"
CODE = "class Net:  # {}\n    conv = nn.Conv2d(3, {}, 3)\n    act = nn.{}()\n"
ACTIVATIONS = ("ReLU", "GELU", "ELU", "Mish", "SiLU", "Tanh")


@dataclass
class Writer:
    """Writes networks that differ, and keeps what it was asked."""

    code: str = CODE
    blobs: DirectoryBlobs | None = None
    asked: list[GenerationRequested] = field(default_factory=list)

    async def handle(self, message: GenerationRequested) -> Sequence[Message]:
        self.asked.append(message)
        place = f"{message.cycle}/{message.index}/{message.submission}"
        text = self.code.format(place, 8 + message.index, ACTIVATIONS[message.index % 6])
        code = await programs.stored(self.blobs, text) if self.blobs else SourceCode.inline(text)
        prompt = tasks.of(message, None).prompt
        return [CandidateGenerated(**message.about(), code=code, prompt=prompt, protocol=message.protocol)]


@dataclass
class Measuring:
    """Fails candidates of these indices with this error; the others are the better the higher their index."""

    error: str = "RuntimeError: wrong"
    failing: tuple[int, ...] = (1, 2)

    async def handle(self, message: CandidateGenerated) -> Sequence[Message]:
        sha256 = message.code.sha256
        update = {"code_sha256": sha256, "parameters": 8200 + message.index}
        known = evaluation(sha256).model_copy(update=update)
        if message.index in self.failing:
            update = {"outcome": Outcome.SHAPE_ERROR, "stage": "shape", "detail": self.error, "accuracy": None}
            failed = known.model_copy(update=update)
            return [CandidateEvaluatedFailed(**message.about(), code=message.code, evaluation=failed)]
        well = known.model_copy(update={"outcome": Outcome.OK, "accuracy": 0.2 + message.index / 10})
        return [CandidateEvaluatedOk(**message.about(), code=message.code, evaluation=well)]


async def lived(
    folder, measuring: Measuring | None = None, cycles: int = 3, **generation: object
) -> tuple[World, Writer]:
    """A world after a run."""
    world, writer = World(folder), Writer()
    world.services |= {"generator": writer, "evaluator": measuring or Measuring()}
    await world.request(spec(cycles=cycles, generation=generation))
    await world.run_to_end()
    return world, writer


def in_cycle(writer: Writer, cycle: int) -> list[GenerationRequested]:
    return [m for m in writer.asked if m.cycle == cycle]


def said(message: GenerationRequested) -> list[str]:
    return remembering.lines(message.memory)


def failed(detail: str, cycle: int = 0, index: int = 0, **changes: object) -> Candidate:
    update = {"outcome": Outcome.BUILD_ERROR, "stage": "build", "detail": detail, "accuracy": None} | changes
    measured: Evaluation = evaluation("x").model_copy(update=update)
    return Candidate(candidate_id=f"{cycle}-{index}", run_id="r", cycle=cycle, index=index, evaluation=measured)
