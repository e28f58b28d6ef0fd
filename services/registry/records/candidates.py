"""A candidate as the registry knows it: what each step made of it, its text, its place among the admitted."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from archloop.contracts.base import Frozen, absent
from archloop.contracts.values import Evaluation, Family, Outcome, SourceCode, Usage, Verdict

Step = Literal["generation", "evaluation", "judgement"]
Sort = Literal["index", "-index", "accuracy", "-accuracy", "similarity", "-similarity"]


class Judgement(Frozen):
    """The novelty service's verdict on a valid candidate."""

    verdict: Verdict
    nearest: str | None = None
    similarity: float
    threshold: float
    family: Family


class Loss(Frozen):
    """The step that never answered for a lost candidate, how often it was asked, and why it refused, if it did."""

    step: Step
    asked: int
    reason: str = ""


class Candidate(Frozen):
    """All that is recorded of one candidate but its text. Each step is null until it is recorded, and final then.

    `parent` is the candidate that it is an edit of, if it is one. A `submitter` steered the run and gave the code.
    """

    candidate_id: str
    run_id: str
    cycle: int | None = None
    index: int | None = None
    submission: str | None = None
    code_sha256: str | None = None
    adapter: str | None = None
    parent: Annotated[str | None, absent(None)] = None
    problem: str = ""
    submitter: Annotated[str, absent("")] = ""
    usage: Usage | None = None
    generated: datetime | None = None
    evaluation: Evaluation | None = None
    evaluated: datetime | None = None
    judgement: Judgement | None = None
    judged: datetime | None = None
    lost: Loss | None = None
    admitted: bool = False

    @property
    def valid(self) -> bool:
        """Whether it trained and is above chance."""
        return self.evaluation is not None and self.evaluation.valid

    @property
    def novel(self) -> bool:
        """Whether it is valid and unlike everything before."""
        return self.judgement is not None and self.valid and self.judgement.verdict is Verdict.NOVEL

    @property
    def awaits(self) -> Step | None:
        """The step that has yet to answer, or null once the candidate is settled."""
        if self.lost is not None:
            return None
        if self.generated is None:
            return "generation"
        if self.evaluation is None:
            return "evaluation"
        return "judgement" if self.valid and self.judgement is None else None


class Source(Frozen):
    """What a candidate was asked and answered. `prompt` is null where another system wrote the code."""

    candidate_id: str
    code: SourceCode
    prompt: str | None = None


class Architecture(Frozen):
    """An admitted candidate, which LEMUR calls `nn`."""

    candidate_id: str
    run_id: str
    cycle: int
    index: int
    code_sha256: str
    accuracy: float
    family: Family
    protocol: str
    parameters: int | None = None
    flops: Annotated[int | None, absent(None)] = None
    parent: Annotated[str | None, absent(None)] = None
    similarity: float
    admitted: datetime


class CandidateQuery(Frozen):
    """Which candidates, in which order, of the indices from `first` and `below`. Null does not restrict.

    `code` and `error` are words that each has to have, or words that begin so; code that is too large to stand in a
    message is not looked through. `limit` null is all.
    """

    run_id: str | None = None
    cycle: int | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    family: str | None = None
    min_accuracy: float | None = None
    parent: str | None = None
    code: str | None = None
    error: str | None = None
    first: int | None = None
    below: int | None = None
    sort: Sort = "index"
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
