"""What the store knows things by: their names, and what tells apart all that ever had the name.

A run's name, and with it those of its candidates, is given again once the registry has forgotten it, and a submission
may be sent again with other code. What was judged then says nothing of what is judged now.
"""

from typing import NamedTuple, Self

from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk, CandidateLost
from archloop.contracts.values import sha256_of

Heard = CandidateEvaluatedOk | CandidateEvaluatedFailed | CandidateLost
_BETWEEN = "@"  # in no run's name, and in no candidate's


class Identity(NamedTuple):
    """Of a candidate: `code_sha256` is empty where it was lost, `tag` is of the run and of how it was evaluated."""

    candidate_id: str
    code_sha256: str
    tag: str

    @classmethod
    def of(cls, message: Heard) -> Self:
        """Equal for what is to have one verdict."""
        if isinstance(message, CandidateLost):
            return cls.lost(message)
        asked = () if message.submission is None else (message.novelty.threshold,)
        evaluation = message.evaluation
        parts = (message.run_uid, message.name, evaluation.protocol_sha256, *asked)
        return cls(message.candidate_id, message.code.sha256, _tag(*parts))

    @classmethod
    def lost(cls, message: Heard) -> Self:
        """That by which the same candidate is known if it was given up."""
        return cls(message.candidate_id, "", _tag(message.run_uid))

    @classmethod
    def read(cls, name: str) -> Self:
        """Back from the store; one of before there were tags is a candidate's id alone."""
        candidate_id, code_sha256, tag = (*name.split(_BETWEEN), "", "")[:3]
        return cls(candidate_id, code_sha256, tag)

    def __str__(self) -> str:
        return _BETWEEN.join(self)


def name_of_run(message: Heard) -> str:
    """Equal for what is of one run."""
    return message.run_id if message.run_uid is None else f"{message.run_id}{_BETWEEN}{message.run_uid}"


def run_of(name: str) -> dict[str, str | None]:
    """What a message says of the run."""
    run_id, _, run_uid = name.partition(_BETWEEN)
    return {"run_id": run_id, "run_uid": run_uid or None}


def _tag(*parts: object) -> str:
    return sha256_of("\x1f".join(map(str, parts)))[:16]
