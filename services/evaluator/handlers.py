"""Handler of candidates: candidate.generated or candidate.submitted in, candidate.evaluated.ok or .failed out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Port

from archloop import protocols, telemetry
from archloop.blobs import programs
from archloop.blobs.port import Readable
from archloop.contracts.base import Message
from archloop.contracts.messages import (
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateSubmitted,
    EvaluationRejected,
)
from archloop.contracts.values import Evaluation
from archloop.metrics import OUTCOMES
from archloop.protocols.model import Protocol
from services.evaluator import ladder
from services.evaluator.evaluator import Evaluator


class Results(Port):
    """Store of earlier evaluations."""

    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        """Return the evaluation of this code under this protocol, if there is one."""


@dataclass(frozen=True)
class EvaluatorHandler:
    """Evaluates candidates; idempotent, as equal code is evaluated once, on the same held-out images."""

    evaluator: Evaluator
    results: Results
    blobs: Readable

    async def handle(self, message: CandidateGenerated | CandidateSubmitted) -> Sequence[Message]:
        """Evaluate the candidate, unless the same code was evaluated under the same protocol before.

        Raises NotFound for an unknown protocol, IntegrityError for code that does not match its hash.
        """
        protocol = _protocol(message)
        evaluation = await self._known(message, protocol) or await self._evaluated(message, protocol)
        kind = CandidateEvaluatedOk if evaluation.valid else CandidateEvaluatedFailed
        return [kind(**message.about(), code=message.code, novelty=message.novelty, evaluation=evaluation)]

    async def _known(self, message: CandidateGenerated | CandidateSubmitted, protocol: Protocol) -> Evaluation | None:
        """Return the earlier result as the message's bar has it, if it is one on the same held-out images."""
        known = await self.results.evaluation(message.code.sha256, protocol.sha256)
        if known is None or known.heldout_id != self.evaluator.secret.id:
            return None
        return ladder.under(known, _bar(message), protocol.chance_line)

    async def _evaluated(self, message: CandidateGenerated | CandidateSubmitted, protocol: Protocol) -> Evaluation:
        with telemetry.span("evaluate") as span:
            evaluation = await self._scored(message, protocol)
            span.stages(evaluation.stage_seconds)
            span.note(outcome=evaluation.outcome)
        OUTCOMES.labels(evaluation.outcome).inc()
        return evaluation.model_copy(update={"code_sha256": message.code.sha256})

    async def _scored(self, message: CandidateGenerated | CandidateSubmitted, protocol: Protocol) -> Evaluation:
        code = await programs.text_of(message.code, self.blobs)
        problem = message.problem if isinstance(message, CandidateGenerated) else ""
        if problem and not code.strip():
            return self.evaluator.rejected(problem, protocol, message.code.sha256)
        return await self.evaluator.evaluate(code, protocol, _bar(message))


def _protocol(message: CandidateGenerated | CandidateSubmitted) -> Protocol:
    """Return the protocol, with the training seed of the message where it has one of its own."""
    protocol = protocols.load(message.protocol)
    seed = message.seed if isinstance(message, CandidateSubmitted) else None
    return protocol if seed in (None, protocol.seed) else protocol.reseeded(seed)


def _bar(message: CandidateGenerated | CandidateSubmitted) -> float | None:
    return message.bar if isinstance(message, CandidateGenerated) else None


def rejected(message: CandidateGenerated | CandidateSubmitted, reason: str) -> EvaluationRejected:
    """Return the event for a candidate that cannot be evaluated."""
    return EvaluationRejected(**message.about(), reason=reason)
