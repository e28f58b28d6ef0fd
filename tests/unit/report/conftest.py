import random
from collections.abc import Sequence
from statistics import fmean, median

import pytest

from archloop.contracts.values import Family
from archloop_lab.report.versions import Training
from archloop_lab.summary import AnalysedSummary
from services.registry.records import Candidate
from services.registry.statistics import intervals

HOSTILE = "# </code></pre><script>alert(1)</script>\nimport torch\n\n\nclass Net: ...  # <img src=x onerror=alert(2)>\n"
FAMILIES = (*list(Family)[1:], Family.PLAIN)
FAILURES = ("build_error", "shape_error", "syntax_error", "below_chance", "train_error", "diverged", "timeout")


def _candidate(rng: random.Random, cycle: int, index: int, skill: float) -> dict:
    valid = rng.random() < 0.35 + 0.6 * skill
    accuracy = min(0.98, max(0.13, rng.gauss(0.22 + 0.5 * skill, 0.14)))
    verdict = rng.choices(("novel", "near_duplicate", "exact_duplicate"), (1, 0.2 * skill, 0.05))[0]
    similarity = {"exact_duplicate": 1.0, "near_duplicate": rng.uniform(0.85, 0.99)}.get(
        verdict, rng.uniform(0.3, 0.84)
    )
    return {
        "candidate_id": f"c-{cycle}-{index}",
        "run_id": "demo-s0",
        "cycle": cycle,
        "index": index,
        "adapter": f"demo-s0-c{cycle - 1}" if cycle else None,
        "evaluation": {
            "stage": "train",
            "protocol": "shapes",
            "code_sha256": "ef" * 32,
            "outcome": "ok" if valid else rng.choice(FAILURES),
            "accuracy": accuracy if valid else None,
            "test_accuracy": max(0.1, accuracy - rng.uniform(-0.01, 0.03)) if valid else None,
            "parameters": rng.randrange(5_000, 300_000),
            "protocol_sha256": "ab" * 32,
            "sandbox_level": "namespaces",
            "stage_seconds": {"start": 0.1, "parse": 0.2, "train": 0.9},
        },
        "judgement": {
            "verdict": verdict,
            "similarity": similarity,
            "nearest": f"c-{cycle}-{index - 1}" if index else None,
            "threshold": 0.85,
            "family": rng.choices(FAMILIES, (3, 2, 2, 1, 1, 1, 1, 2))[0],
        }
        if valid
        else None,
        "admitted": valid and verdict == "novel" and accuracy >= 0.4,
    }


def _cycle(cycle: int, candidates: list[dict], before: int, *, frozen: bool) -> dict:
    valid = [c for c in candidates if c["judgement"]]
    admitted = [c for c in valid if c["admitted"]]
    accuracies = [c["evaluation"]["accuracy"] for c in valid]
    good = sum(a >= 0.4 for a in accuracies)
    outcomes = [c["evaluation"]["outcome"] for c in candidates]
    families = [c["judgement"]["family"] for c in admitted]
    tally = {name: families.count(name) for name in FAMILIES if name in families}
    verdicts = [c["judgement"]["verdict"] for c in valid]
    low, high = intervals.wilson(len(valid), len(candidates))
    novelty = intervals.wilson(verdicts.count("novel"), len(valid))
    mean_low, mean_high = intervals.mean_interval(accuracies)
    return {
        "cycle": cycle,
        "closed": True,
        "generated": len(candidates),
        "evaluated": len(candidates),
        "judged": len(valid),
        "lost": 0,
        "valid": len(valid),
        "valid_rate": len(valid) / len(candidates),
        "valid_rate_low": low,
        "valid_rate_high": high,
        "mean_accuracy": fmean(accuracies),
        "mean_accuracy_low": mean_low,
        "mean_accuracy_high": mean_high,
        "median_accuracy": median(accuracies),
        "best_accuracy": max(accuracies),
        "share_ge_threshold_trained": good / len(valid),
        "share_ge_threshold_generated": good / len(candidates),
        **{name: verdicts.count(name) for name in ("novel", "near_duplicate", "exact_duplicate")},
        "novelty_rate": verdicts.count("novel") / len(valid),
        "novelty_rate_low": novelty.low,
        "novelty_rate_high": novelty.high,
        "diversity_valid": 0.8 - 0.05 * cycle,
        "diversity_admitted": 0.82 - 0.05 * cycle if admitted else None,
        **_memorization(cycle, tuned=not frozen and cycle > 0),
        "admitted": len(admitted),
        "unique_total": before + len(admitted),
        "families": tally,
        "family_entropy_bits": intervals.entropy_bits(tally.values()),
        "median_similarity": median(c["judgement"]["similarity"] for c in admitted) if admitted else None,
        "outcomes": {name: outcomes.count(name) for name in set(outcomes)},
        "adapter": candidates[0]["adapter"],
        "pairs": None if frozen else len(admitted) + 10 * cycle,
        "loss_curve": () if frozen else [1.6 / (1 + 0.3 * step) * 0.9**cycle for step in range(14)],
        "seconds": {
            "generate": 4.0 + cycle,
            "evaluate": 31.0,
            "judge": 30.0,
            "train": 6.5 + cycle,
            "total": 41.0 + cycle,
        },
    }


def _totals(rows: list[dict]) -> dict:
    """What the report reads of them; the rates of a whole run are unknown here."""
    counts = ("generated", "valid", "lost", "novel", "near_duplicate", "exact_duplicate", "admitted")
    unknown = ("valid_rate", "mean_accuracy")
    return {
        **{name: sum(row[name] for row in rows) for name in counts},
        **{f"{name}{end}": None for name in unknown for end in ("", "_low", "_high")},
        **dict.fromkeys(("median_accuracy", "share_ge_threshold_trained", "share_ge_threshold_generated")),
        "best_accuracy": max(row["best_accuracy"] for row in rows),
        "outcomes": {},
    }


def _memorization(cycle: int, *, tuned: bool) -> dict:
    median_now = min(0.9, 0.3 + 0.1 * cycle) if tuned else None
    return {
        "memorization_low_quartile": median_now and median_now - 0.1,
        "memorization_median": median_now,
        "memorization_high_quartile": median_now and median_now + 0.1,
        "memorization_share_ge_threshold": 0.02 * cycle if tuned else None,
        "memorization_untuned_median": 0.25 if tuned else None,
    }


def _run(seed: int = 0, cycles: int = 6, size: int = 64, *, frozen: bool = False) -> tuple[dict, list[dict]]:
    rng, candidates, rows = random.Random(seed), [], []
    for cycle in range(cycles):
        skill = 0.0 if frozen else cycle / (cycles - 1)
        own = [_candidate(rng, cycle, index, skill) for index in range(size)]
        candidates += own
        rows.append(_cycle(cycle, own, rows[-1]["unique_total"] if rows else 0, frozen=frozen))
    summary = {
        "run_id": "demo-s0-frozen" if frozen else "demo-s0",
        "status": "finished",
        "reason": "completed",
        "created": "2026-09-01T10:11:12.345678Z",
        "finished": "2026-09-01T10:15:43.745678Z",
        "seconds": 271.4,
        "spec": {
            "preset": "demo",
            "cycles": cycles,
            "candidates": size,
            "seed": seed,
            "protocol": "shapes",
            "base_model": "tiny",
            "frozen": frozen,
            "selection": {"threshold": 0.4},
            "novelty": {"threshold": 0.85, "scope": "run"},
        },
        "totals": _totals(rows) | {"tokens": 45_000, "evaluator_seconds": 400.0},
        "unique_total": rows[-1]["unique_total"],
        "cycles": rows,
    }
    return summary, candidates


@pytest.fixture(scope="session")
def run():
    """Makes a run that might have been: its summary and its candidates, in the JSON form of a run's files."""
    return _run


def _read(summary: dict, candidates: Sequence[dict] = ()) -> tuple[AnalysedSummary, list[Candidate]]:
    return AnalysedSummary.model_validate(summary), [Candidate.model_validate(each) for each in candidates]


@pytest.fixture(scope="session")
def read():
    """Reads a run from its JSON form."""
    return _read


@pytest.fixture(scope="session")
def manifest() -> dict:
    return {
        "archloop": "0.1.0",
        "base_model": {"name": "tiny", "sha256": "cd" * 32},
        "machine": {"python": "3.11.7", "system": "Linux-6.1-x86_64", "processor": "x86_64", "cores": 2},
    }


@pytest.fixture(scope="session")
def hostile() -> str:
    """What a candidate might hold to reach the reader of the report."""
    return HOSTILE


@pytest.fixture(scope="session")
def trainings():
    """How a run's adapters came about."""

    def of(summary: dict) -> dict[int, Training]:
        return {
            cycle["cycle"]: Training(
                loss_curve=cycle["loss_curve"],
                token_curve=[12_500 * (step + 1) for step in range(len(cycle["loss_curve"]))],
                steps=160,
                seconds=7.0,
            )
            for cycle in summary["cycles"]
            if cycle["loss_curve"]
        }

    return of
