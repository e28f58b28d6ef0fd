"""Names of candidates and runs in the store, unique even where an id is used again.

Once the registry has forgotten a run, its name and the ids of its candidates may be used again, and a submission may be
sent again with other code. An earlier verdict must not be taken for that of the new one.
"""

from typing import NamedTuple, Self

from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk, CandidateLost
from archloop.contracts.values import sha256_of

Heard = CandidateEvaluatedOk | CandidateEvaluatedFailed | CandidateLost
_BETWEEN = "@"  # in no run's name, and in no candidate's


class Identity(NamedTuple):
    """A candidate's name: `code_sha256` is empty if it was lost, `tag` hashes its run and its evaluation's protocol."""

    candidate_id: str
    code_sha256: str
    tag: str

    @classmethod
    def of(cls, message: Heard) -> Self:
        """Name what a message is about; equal for messages that must get one verdict."""
        if isinstance(message, CandidateLost):
            return cls.lost(message)
        asked = () if message.submission is None else (message.novelty.threshold,)
        evaluation = message.evaluation
        parts = (message.run_uid, message.name, evaluation.protocol_sha256, *asked)
        return cls(message.candidate_id, message.code.sha256, _tag(*parts))

    @classmethod
    def lost(cls, message: Heard) -> Self:
        """Return the name that the same candidate has if it is lost."""
        return cls(message.candidate_id, "", _tag(message.run_uid))

    @classmethod
    def read(cls, name: str) -> Self:
        """Parse a name from the store; names of earlier versions are a candidate's id alone."""
        candidate_id, code_sha256, tag = (*name.split(_BETWEEN), "", "")[:3]
        return cls(candidate_id, code_sha256, tag)

    def __str__(self) -> str:
        return _BETWEEN.join(self)


def name_of_run(message: Heard) -> str:
    """Return the run's name in the store; equal for all messages of one run."""
    return message.run_id if message.run_uid is None else f"{message.run_id}{_BETWEEN}{message.run_uid}"


def run_of(name: str) -> dict[str, str | None]:
    """Return the fields of a message that identify the run."""
    run_id, _, run_uid = name.partition(_BETWEEN)
    return {"run_id": run_id, "run_uid": run_uid or None}


def _tag(*parts: object) -> str:
    return sha256_of("\x1f".join(map(str, parts)))[:16]
