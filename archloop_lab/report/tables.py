"""The report's numbers as CSV (RFC 4180): a header row, a row for each cycle, candidate or architecture.

The columns are documented in docs/reference/metrics.md. No text that a candidate wrote is among them, and no name is a
formula.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archloop_lab.files import write_csv
from archloop_lab.report.view import ranked
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.records import Candidate

CYCLES = (
    *("cycle", "closed", "adapter", "generated", "evaluated", "judged", "lost"),
    *("valid", "valid_rate", "valid_rate_low", "valid_rate_high"),
    *("mean_accuracy", "mean_accuracy_low", "mean_accuracy_high", "median_accuracy", "best_accuracy"),
    *("share_ge_threshold_trained", "share_ge_threshold_trained_low", "share_ge_threshold_trained_high"),
    *("share_ge_threshold_generated", "share_ge_threshold_generated_low", "share_ge_threshold_generated_high"),
    *("novel", "novelty_rate", "novelty_rate_low", "novelty_rate_high"),
    *("near_duplicate", "near_duplicate_rate", "near_duplicate_rate_low", "near_duplicate_rate_high"),
    *("exact_duplicate", "exact_duplicate_rate", "exact_duplicate_rate_low", "exact_duplicate_rate_high"),
    *("admitted", "unique_total", "family_count", "family_entropy_bits", "median_similarity"),
    *("diversity_valid", "diversity_admitted", "memorization_low_quartile", "memorization_median"),
    *("memorization_high_quartile", "memorization_share_ge_threshold", "memorization_untuned_median"),
    *("tokens", "tokens_per_admitted", "cost", "evaluator_seconds", "evaluator_seconds_per_admitted", "pairs"),
    *("chosen", "rejected"),
)
SECONDS = ("generate", "evaluate", "judge", "train", "total")
_PLACE = ("candidate_id", "cycle", "index", "adapter", "code_sha256")
_EVALUATION = ("outcome", "accuracy", "test_accuracy", "parameters", "flops", "seconds", "peak_memory_bytes")
_JUDGEMENT = ("verdict", "similarity", "nearest", "family")
_TOKENS = ("prompt_tokens", "completion_tokens")
CANDIDATES = (*_PLACE, *_TOKENS, *_EVALUATION, *_JUDGEMENT, "memorization", "admitted", "lost", "parent")
ARCHITECTURES = ("rank", *_PLACE, *_EVALUATION[1:], *_JUDGEMENT[1:], "memorization", "parent")


def write(
    summary: AnalysedSummary, candidates: Sequence[Candidate], directory: Path, memorized: Mapping[str, float]
) -> None:
    """Write cycles.csv, candidates.csv and architectures.csv, each whole or not at all."""
    described = {c.candidate_id: _candidate(c, memorized) for c in candidates}
    best = [{"rank": rank} | described[c.candidate_id] for rank, c in enumerate(ranked(candidates), 1)]
    header = (*CYCLES, *(f"seconds_{step}" for step in SECONDS))
    write_csv(directory / "cycles.csv", map(_cycle, summary.cycles), header)
    write_csv(directory / "candidates.csv", described.values(), CANDIDATES)
    write_csv(directory / "architectures.csv", best, ARCHITECTURES)


def _cycle(cycle: AnalysedCycle) -> dict[str, Any]:
    row = {"chosen": None, "rejected": None} | cycle.model_dump(mode="json")
    return row | {f"seconds_{step}": row["seconds"][step] for step in SECONDS}


def _candidate(candidate: Candidate, memorized: Mapping[str, float]) -> dict[str, Any]:
    row = candidate.model_dump(mode="json")
    parts = [("usage", _TOKENS), ("evaluation", _EVALUATION), ("judgement", _JUDGEMENT)]
    return {
        **{name: row[name] for name in (*_PLACE, "admitted")},
        **{name: row[part][name] for part, names in parts if row[part] for name in names},
        "memorization": memorized.get(candidate.candidate_id),
        "lost": candidate.lost and candidate.lost.step,
        "parent": candidate.parent,
    }
