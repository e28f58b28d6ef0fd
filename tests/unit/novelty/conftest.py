import random
from collections.abc import Callable

import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import Evaluation, Family, Outcome, SandboxLevel, SourceCode
from services.generator.seeds import write
from services.novelty.handlers import NoveltyHandler
from services.novelty.sqlite import SqliteSignatures

RUN = "run-1"


def _net(seed: int, family: str | None = None) -> str:
    rng = random.Random(seed)
    return write(rng, family or rng.choice(sorted(Family))).code


def _evaluated(index: int, code: str, outcome: Outcome = Outcome.OK, **fields):
    source = fields.pop("source", None) or SourceCode.inline(code)
    evaluation = Evaluation(
        outcome=outcome,
        stage="train",
        protocol="digits",
        protocol_sha256="0" * 64,
        code_sha256=source.sha256,
        sandbox_level=SandboxLevel.NAMESPACES,
    )
    kind = CandidateEvaluatedOk if outcome is Outcome.OK else CandidateEvaluatedFailed
    fields = {"run_id": RUN, "novelty": NoveltySpec()} | fields
    return kind(index=index, code=source, evaluation=evaluation, **fields)


@pytest.fixture(scope="session")
def seed_net() -> Callable[..., str]:
    """A sound network, the same for the same seed."""
    return _net


@pytest.fixture(scope="session")
def evaluated():
    """The message that the evaluator would send."""
    return _evaluated


@pytest.fixture
def blobs(tmp_path):
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture(scope="session")
def handler_on():
    """A handler on a store of its own in memory, or on a given one."""

    def make(store=None, blobs=None) -> NoveltyHandler:
        return NoveltyHandler(store or SqliteSignatures(":memory:"), blobs, k=7, permutations=128, sizes="kept")

    return make
