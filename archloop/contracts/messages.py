"""Every message of the loop. Commands first in each group, then what happened."""

from typing import Annotated, Literal

from pydantic import Field

from archloop.contracts.base import CandidateMessage, Message, RunId
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec, TrainingSpec
from archloop.contracts.values import AdapterRef, BlobRef, Evaluation, Outcome, SourceCode, Usage, Verdict

Cycle = Annotated[int, Field(ge=0)]
BOOTSTRAP = -1  # the cycle before the first, in which nothing is written
TunedAfter = Annotated[int, Field(ge=BOOTSTRAP)]


class RunRequested(Message):
    """Command: start this run, or do nothing if it is there already with the same spec."""

    name = "run.requested"
    spec: RunSpec

    def identity(self) -> tuple[object, ...]:
        """A run is requested once."""
        return ()


class RunFinished(Message):
    """The run reached its end; nothing more will be asked for it."""

    name = "run.finished"
    reason: str

    def identity(self) -> tuple[object, ...]:
        """A run ends once."""
        return ()


class CycleClosed(Message):
    """Every candidate of the cycle is settled and the admitted ones are chosen."""

    name = "cycle.closed"
    cycle: Cycle
    generated: int
    valid: int
    novel: int
    admitted: int

    def identity(self) -> tuple[object, ...]:
        """A cycle closes once."""
        return (self.cycle,)


class GenerationRequested(CandidateMessage):
    """Command: write one candidate with this base model and adapter (null: the base model alone)."""

    name = "generation.requested"
    seed: int
    protocol: str
    generation: GenerationSpec
    novelty: NoveltySpec
    base_model: str
    adapter: AdapterRef | None = None


class CandidateGenerated(CandidateMessage):
    """The LLM answered. `code` is what its answer holds, unrepaired; `problem` says why it may be empty."""

    name = "candidate.generated"
    code: SourceCode
    prompt: str
    protocol: str
    novelty: NoveltySpec = NoveltySpec()
    adapter: str | None = None
    problem: str = ""
    usage: Usage = Usage()


class CandidateSubmitted(CandidateMessage):
    """Command from another system: score and judge this code like any other.

    It joins no run: `run_id` is the submitter's own name for the batch, `submission` its own id.
    """

    name = "candidate.submitted"
    submission: str
    code: SourceCode
    protocol: str
    novelty: NoveltySpec = NoveltySpec(scope="global")
    submitter: str = ""


class _CandidateEvaluated(CandidateMessage):
    code: SourceCode
    novelty: NoveltySpec = NoveltySpec()
    evaluation: Evaluation


class CandidateEvaluatedOk(_CandidateEvaluated):
    """Trained, and above chance."""

    name = "candidate.evaluated.ok"


class CandidateEvaluatedFailed(_CandidateEvaluated):
    """Every other outcome."""

    name = "candidate.evaluated.failed"


class CandidateLost(CandidateMessage):
    """The candidate never answered, was asked for again in vain, and is given up, visibly."""

    name = "candidate.lost"
    step: Literal["generation", "evaluation", "judgement"]
    asked: int


class CandidateJudged(CandidateMessage):
    """The verdict, the nearest earlier candidate and its verified Jaccard similarity, and the structural family.

    `similarity` is to the nearest *earlier* valid candidate in scope, 0.0 if there is none.
    """

    name = "candidate.judged"
    verdict: Verdict
    nearest: str | None = None
    similarity: Annotated[float, Field(ge=0, le=1)]
    threshold: float
    family: str


class TrainingRequested(Message):
    """Command: tune on these pairs (JSON lines of {"prompt", "completion"}), continuing the parent adapter.

    `cycle` is the one after which that is, or -1 for the pairs that a run begins with.
    """

    name = "training.requested"
    cycle: TunedAfter
    adapter: str
    base_model: str
    parent: AdapterRef | None = None
    pairs: BlobRef
    pair_count: int
    training: TrainingSpec
    seed: int

    def identity(self) -> tuple[object, ...]:
        """One adapter per cycle."""
        return (self.cycle,)


class AdapterTrained(Message):
    """A new adapter lies in the object store, complete. `cycle` is that of the request.

    `token_curve` has the tokens trained on until each point of `loss_curve`; there were `steps` steps. `seconds` are
    those of the whole job and `tokens_per_second` that of the training proper; both 0 where it was found done.
    """

    name = "adapter.trained"
    cycle: TunedAfter
    adapter: AdapterRef
    pair_count: int
    loss_curve: tuple[float, ...] = ()
    token_curve: tuple[int, ...] = ()
    steps: int = 0
    seconds: float = 0.0
    tokens_per_second: float = 0.0

    def identity(self) -> tuple[object, ...]:
        """One adapter per cycle."""
        return (self.cycle,)


class AdapterActivated(Message):
    """A generator replica proved the adapter by its fingerprint and serves it."""

    name = "adapter.activated"
    adapter: str
    replica: str

    def identity(self) -> tuple[object, ...]:
        """Once per replica."""
        return self.adapter, self.replica


class AdapterRejected(Message):
    """A generator replica refused the adapter and keeps what it had."""

    name = "adapter.rejected"
    adapter: str
    replica: str
    reason: str

    def identity(self) -> tuple[object, ...]:
        """Once per replica."""
        return self.adapter, self.replica


CATALOGUE: tuple[type[Message], ...] = (
    RunRequested,
    RunFinished,
    CycleClosed,
    GenerationRequested,
    CandidateGenerated,
    CandidateSubmitted,
    CandidateEvaluatedOk,
    CandidateEvaluatedFailed,
    CandidateLost,
    CandidateJudged,
    TrainingRequested,
    AdapterTrained,
    AdapterActivated,
    AdapterRejected,
)

__all__ = [
    "BOOTSTRAP",
    "CATALOGUE",
    "AdapterActivated",
    "AdapterRejected",
    "AdapterTrained",
    "CandidateEvaluatedFailed",
    "CandidateEvaluatedOk",
    "CandidateGenerated",
    "CandidateJudged",
    "CandidateLost",
    "CandidateSubmitted",
    "CycleClosed",
    "GenerationRequested",
    "Message",
    "Outcome",
    "RunFinished",
    "RunId",
    "RunRequested",
    "TrainingRequested",
]
