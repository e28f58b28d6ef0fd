"""Every message of the loop. Commands first in each group, then what happened."""

from archloop.contracts.base import Message
from archloop.contracts.messages.candidates import (
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    CandidateSubmitted,
    EvaluationRejected,
    GenerationRejected,
    GenerationRequested,
    JudgementRejected,
)
from archloop.contracts.messages.runs import (
    CycleClosed,
    RunFinished,
    RunRequested,
    RunSteered,
)
from archloop.contracts.messages.training import (
    BOOTSTRAP,
    AdapterActivated,
    AdapterRejected,
    AdapterTrained,
    TrainingRejected,
    TrainingRequested,
    TunedAfter,
)

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
    "EvaluationRejected",
    "GenerationRejected",
    "GenerationRequested",
    "JudgementRejected",
    "Rejected",
    "RunFinished",
    "RunRequested",
    "RunSteered",
    "TrainingRejected",
    "TrainingRequested",
    "TunedAfter",
]
