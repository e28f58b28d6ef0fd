"""Candidates as rows of CSV."""

from services.registry.records import Candidate

COLUMNS = (
    *("candidate_id", "cycle", "index", "outcome", "stage", "detail", "accuracy", "test_accuracy", "parameters"),
    *("flops", "seconds", "verdict", "similarity", "nearest", "family", "admitted", "adapter", "parent", "problem"),
    *("prompt_tokens", "completion_tokens", "code_sha256"),
)


def row(candidate: Candidate) -> list[object]:
    """Return a candidate's cells, in the order of COLUMNS."""
    evaluation, judgement, usage = candidate.evaluation, candidate.judgement, candidate.usage
    known = {
        **{name: getattr(candidate, name) for name in COLUMNS if hasattr(candidate, name)},
        **({name: getattr(evaluation, name) for name in COLUMNS if hasattr(evaluation, name)} if evaluation else {}),
        **({name: getattr(judgement, name) for name in COLUMNS if hasattr(judgement, name)} if judgement else {}),
        **({name: getattr(usage, name) for name in COLUMNS if hasattr(usage, name)} if usage else {}),
    }
    outcome = evaluation.outcome.value if evaluation else "lost" if candidate.lost else None
    known |= {"outcome": outcome, "code_sha256": candidate.code_sha256}
    return [known.get(name) for name in COLUMNS]
