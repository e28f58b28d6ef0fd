"""Every message of the loop. Commands first in each group, then what happened."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from archloop.contracts.acts import Act
from archloop.contracts.base import CandidateMessage, Message, Sha256, absent
from archloop.contracts.numbers import NUMBER, Amount, Curve, Place, Seed, Share, Whole
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec
from archloop.contracts.texts import LongText, Name, Remark
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import (
    AdapterRef,
    BlobRef,
    Collapse,
    Evaluation,
    Family,
    Parent,
    Remembered,
    SourceCode,
    Usage,
    Verdict,
)

BOOTSTRAP = -1  # the cycle before the first, in which nothing is written
TunedAfter = Annotated[int, Field(ge=BOOTSTRAP, le=2**31), NUMBER]


class RunRequested(Message):
    """Command: start this run, or do nothing if it is there already with the same spec."""

    name = "run.requested"
    identified_by = ()
    spec: RunSpec


class RunSteered(Message):
    """Somebody steers the run. The sender names the act: an act of the same name again changes nothing.

    `pause`, `resume` and `cancel` are heeded at once, everything else when the next cycle opens.
    """

    name = "run.steered"
    identified_by = ("act_id",)
    act_id: Name
    act: Act


class RunFinished(Message):
    """The run reached its end; nothing more will be asked for it."""

    name = "run.finished"
    identified_by = ()
    reason: Remark


class CycleClosed(Message):
    """Every candidate of the cycle is settled and the admitted ones are chosen.

    `collapse` says how the cycle ended of a run that is watched for that, and what it does about it from now on.
    """

    name = "cycle.closed"
    identified_by = ("cycle",)
    cycle: Place
    generated: Place
    valid: Place
    novel: Place
    admitted: Place
    collapse: Annotated[Collapse | None, absent(None)] = None


class GenerationRequested(CandidateMessage):
    """Command: write one candidate with this base model and adapter (null: the base model alone).

    With a `parent` the LLM is to edit that candidate's code, and else to write a whole network. What is free in the
    prompt follows from `prompt_seed`, which candidates that answer one prompt share, or else from the own `seed`.
    `memory` is what the prompt says of earlier cycles, the most telling first; where it is too long its end is left
    out. `bar` is for the evaluator: the accuracy that the candidate has to reach on the first rung of the protocol's
    ladder.
    """

    name = "generation.requested"
    seed: Seed
    prompt_seed: Annotated[Seed | None, absent(None)] = None
    protocol: Name
    generation: GenerationSpec
    novelty: NoveltySpec
    base_model: Name
    adapter: AdapterRef | None = None
    parent: Annotated[Parent | None, absent(None)] = None
    memory: Annotated[tuple[Remembered, ...], Field(max_length=64), absent(())] = ()
    bar: Annotated[Share | None, absent(None)] = None


class CandidateGenerated(CandidateMessage):
    """The LLM answered. `code` is what its answer holds, unrepaired; `problem` says why it may be empty.

    Where it was asked to edit a candidate, `parent` is that one's id, and `code` what the edit made of it.
    `bar` is that of the request. With a `submitter` nobody asked an LLM: that one steered the run and gave the code.
    """

    name = "candidate.generated"
    code: SourceCode
    prompt: LongText
    protocol: Name
    novelty: NoveltySpec = NoveltySpec()
    adapter: Name | None = None
    parent: Annotated[Name | None, absent(None)] = None
    bar: Annotated[Share | None, absent(None)] = None
    problem: Remark = ""
    usage: Usage = Usage()
    submitter: Annotated[Name, absent("")] = ""


class CandidateSubmitted(CandidateMessage):
    """Command from another system: score and judge this code like any other.

    It joins no run: `run_id` is the submitter's own name for the batch, `submission` its own id. With a `seed` it is
    trained by that instead of the protocol's own.
    """

    name = "candidate.submitted"
    submission: Name
    code: SourceCode
    protocol: Name
    seed: Annotated[Seed | None, absent(None)] = None
    novelty: NoveltySpec = NoveltySpec(scope="global")
    submitter: Name = ""


class _CandidateEvaluated(CandidateMessage):
    code: SourceCode
    novelty: NoveltySpec = NoveltySpec()
    evaluation: Evaluation


class CandidateEvaluatedOk(_CandidateEvaluated):
    """The candidate trained, and is above chance."""

    name = "candidate.evaluated.ok"


class CandidateEvaluatedFailed(_CandidateEvaluated):
    """The candidate came to any other outcome than `ok`."""

    name = "candidate.evaluated.failed"


class CandidateLost(CandidateMessage):
    """The step never answered, was asked for again in vain, and the candidate is given up, visibly.

    `reason` is the last one that the step's service gave for its refusal, if it gave any.
    """

    name = "candidate.lost"
    step: Literal["generation", "evaluation", "judgement"]
    asked: Place
    reason: Remark = ""


class CandidateJudged(CandidateMessage):
    """The verdict, the nearest earlier candidate and its verified Jaccard similarity, and the structural family.

    `similarity` is to the nearest *earlier* valid candidate in scope, 0.0 if there is none. `code_sha256` is of what
    was judged, which says nothing of a candidate that has other code on record.
    """

    name = "candidate.judged"
    verdict: Verdict
    nearest: Name | None = None
    similarity: Share
    threshold: Share
    family: Family
    code_sha256: Sha256 | None = None


class GenerationRejected(CandidateMessage):
    """The generator cannot write this candidate as it was asked to, for the reason given.

    Of this and every other rejection: the registry asks again after a while, as often as it is set to, in case that the
    cause is mended; where that was in vain the run, or the candidate alone, comes to its end with the reason.
    """

    name = "generation.rejected"
    reason: Remark


class EvaluationRejected(CandidateMessage):
    """The evaluator cannot score this candidate as it was asked to: its code is gone, for instance."""

    name = "evaluation.rejected"
    reason: Remark


class JudgementRejected(CandidateMessage):
    """The novelty service cannot judge this candidate as it was asked to: its code is gone, for instance."""

    name = "judgement.rejected"
    reason: Remark


class TrainingRequested(Message):
    """Command: tune on these pairs, JSON lines of {"prompt", "completion"}, continuing the parent adapter.

    Lines may have a "rejected" answer to the same prompt. `dpo` learns from those alone that have one.

    `cycle` is the one after which that is, or -1 for the pairs that a run begins with.
    """

    name = "training.requested"
    identified_by = ("cycle",)
    cycle: TunedAfter
    adapter: Name
    base_model: Name
    parent: AdapterRef | None = None
    pairs: BlobRef
    pair_count: Whole
    training: TrainingSpec
    seed: Seed

    @property
    @override
    def trace_root(self) -> str:
        """Itself: a training has a trace of its own."""
        return self.id


class AdapterTrained(Message):
    """A new adapter lies in the object store, complete. `cycle` is that of the request.

    `token_curve` has the tokens trained on until each point of `loss_curve`; there were `steps` steps. `seconds` are
    those of the whole job and `tokens_per_second` that of the training proper; both 0 where it was found done.
    """

    name = "adapter.trained"
    identified_by = ("cycle",)
    cycle: TunedAfter
    adapter: AdapterRef
    pair_count: Whole
    loss_curve: Curve = ()
    token_curve: Annotated[tuple[Whole, ...], Field(max_length=100_000)] = ()
    steps: Whole = 0
    seconds: Amount = 0.0
    tokens_per_second: Amount = 0.0


class TrainingRejected(Message):
    """The trainer cannot make the adapter as it was asked to, for the reason given: damaged pairs or too little memory.

    The registry makes the pairs again and asks once more, and ends the run with the reason where it does so in vain.
    """

    name = "training.rejected"
    identified_by = ("cycle",)
    cycle: TunedAfter
    reason: Remark


class AdapterActivated(Message):
    """A generator replica proved the adapter by its fingerprint and serves it."""

    name = "adapter.activated"
    identified_by = ("adapter", "replica")
    adapter: Name
    replica: Name


class AdapterRejected(Message):
    """A generator replica refused the adapter and keeps what it had."""

    name = "adapter.rejected"
    identified_by = ("adapter", "replica")
    adapter: Name
    replica: Name
    reason: Remark


CATALOGUE: tuple[type[Message], ...] = (
    RunRequested,
    RunSteered,
    RunFinished,
    CycleClosed,
    GenerationRequested,
    CandidateGenerated,
    CandidateSubmitted,
    CandidateEvaluatedOk,
    CandidateEvaluatedFailed,
    CandidateLost,
    CandidateJudged,
    GenerationRejected,
    EvaluationRejected,
    JudgementRejected,
    TrainingRequested,
    AdapterTrained,
    TrainingRejected,
    AdapterActivated,
    AdapterRejected,
)

Rejected = GenerationRejected | EvaluationRejected | JudgementRejected | TrainingRejected
