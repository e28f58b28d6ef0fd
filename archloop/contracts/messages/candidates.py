"""Messages about one candidate, from the wish for it to the verdict on it."""

from typing import Annotated, Literal

from pydantic import Field

from archloop.contracts.base import CandidateMessage, Sha256, absent
from archloop.contracts.numbers import Place, Seed, Share
from archloop.contracts.spec import SEED_PROGRAM, GenerationSpec, NoveltySpec
from archloop.contracts.texts import LongText, Name, Remark
from archloop.contracts.values import (
    AdapterRef,
    Evaluation,
    Family,
    Parent,
    Remembered,
    SourceCode,
    Usage,
    Verdict,
)


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

    @property
    def is_drawn(self) -> bool:
        """Whether the seed program writes it: a candidate of the first cycle, where the run starts with that."""
        return self.generation.start == SEED_PROGRAM and self.cycle == 0 and self.submission is None


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
