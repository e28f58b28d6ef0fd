"""What is counted of a candidate, and the sums over several."""

from typing import Any

import pytest

from archloop.contracts.values import Evaluation, Family, Outcome, SandboxLevel, Usage, Verdict
from services.registry.control.budget import Spent
from services.registry.records import Candidate, Judgement, Loss, utc_now
from services.registry.statistics.rates import Observation, Rates, observations, rates

NOVEL = Judgement(verdict=Verdict.NOVEL, similarity=0.1, threshold=0.85, family=Family.DENSE)
NONE = dict.fromkeys(("outcome", "accuracy", "verdict", "family", "rung")) | {"admitted": False, "lost": False}


def evaluation(outcome: Outcome, accuracy: float | None) -> Evaluation:
    hashes = {"protocol_sha256": "0" * 64, "code_sha256": "0" * 64}
    measured = {"accuracy": accuracy, "seconds": 3.0, "sandbox_level": SandboxLevel.PROCESS}
    return Evaluation(outcome=outcome, stage="train", protocol="digits", **hashes, **measured)


def candidate(outcome: Outcome | None = None, accuracy: float | None = None, **fields: Any) -> Candidate:
    """One that was answered, and evaluated if an outcome is given."""
    evaluated = None if outcome is None else evaluation(outcome, accuracy)
    fields = {"code_sha256": "0" * 64, "generated": utc_now(), "evaluation": evaluated} | fields
    return Candidate(candidate_id="c", run_id="r", **fields)


@pytest.mark.parametrize(
    ("of", "seen"),
    [
        (candidate(), {}),
        (candidate(code_sha256=None, lost=Loss(step="generation", asked=3)), {"lost": True}),
        (candidate(lost=Loss(step="evaluation", asked=3)), {"lost": True}),
        (candidate(Outcome.OK, 0.5), {"outcome": Outcome.OK, "accuracy": 0.5}),
        (candidate(Outcome.OK, None), {"outcome": Outcome.OK, "accuracy": 0.0}),
        (candidate(Outcome.BELOW_CHANCE, 0.05), {"outcome": Outcome.BELOW_CHANCE}),
        (candidate(Outcome.BUILD_ERROR, judgement=NOVEL), {"outcome": Outcome.BUILD_ERROR}),
        (
            candidate(Outcome.OK, 0.5, judgement=NOVEL),
            {"outcome": Outcome.OK, "accuracy": 0.5, "verdict": Verdict.NOVEL},
        ),
        (
            candidate(Outcome.OK, 0.5, judgement=NOVEL, admitted=True),
            {
                "outcome": Outcome.OK,
                "accuracy": 0.5,
                "verdict": Verdict.NOVEL,
                "family": Family.DENSE,
                "admitted": True,
            },
        ),
        (
            candidate(Outcome.OK, 0.5, admitted=True),
            {"outcome": Outcome.OK, "accuracy": 0.5, "admitted": True},
        ),
    ],
)
def test_verdicts_and_accuracies_are_of_the_valid_and_families_of_the_admitted(
    of: Candidate, seen: dict[str, object]
) -> None:
    (observation,) = observations([of])
    assert {name: value for name, value in observation._asdict().items() if name != "spent"} == NONE | seen


def test_who_was_neither_answered_nor_given_up_is_not_counted() -> None:
    assert observations([candidate(code_sha256=None, generated=None)]) == []
    assert rates([], 0.5).generated == 0


def test_spent_is_summed_and_shared_among_the_admitted() -> None:
    used = [Usage(prompt_tokens=10 * n, completion_tokens=n, cost=0.25 * n) for n in (1, 2, 4)]
    three = [candidate(Outcome.OK, 0.5, usage=u, admitted=u.cost < 1, judgement=NOVEL) for u in used]
    found = rates(observations(three), 0.5)
    assert (found.tokens, found.cost, found.evaluator_seconds, found.admitted) == (77, 1.75, 9.0, 2)
    assert (found.tokens_per_admitted, found.evaluator_seconds_per_admitted) == (38.5, 4.5)
    assert (found.family_count, found.outcomes) == (1, {"ok": 3})


@pytest.mark.parametrize(
    ("accuracies", "threshold", "share"),
    [
        ([0.5], 0.5, 1.0),
        ([0.4, 0.6], 0.5, 0.5),
        ([0.5, 0.49, 0.2, 0.9], 0.5, 0.5),
        ([0.0], 0.0, 1.0),
        ([0.99], 1.0, 0.0),
    ],
)
def test_an_accuracy_counts_as_good_from_the_threshold_on(accuracies, threshold, share) -> None:
    given = [Observation(Outcome.OK, a, None, None, admitted=False, lost=False, spent=Spent()) for a in accuracies]
    failed = [given[0]._replace(outcome=Outcome.TIMEOUT, accuracy=None)] * len(given)
    found = rates([*given, *failed], threshold)
    assert (found.share_ge_threshold_trained, found.share_ge_threshold_generated) == (share, share / 2)
    assert (found.valid, found.best_accuracy) == (len(accuracies), max(accuracies))


def test_what_an_older_registry_did_not_count_yet_is_nothing() -> None:
    whole = rates(observations([candidate(Outcome.OK, 0.5)]), 0.5).model_dump()
    added = {name for name, field in Rates.model_fields.items() if not field.is_required()}
    read = Rates.model_validate({name: value for name, value in whole.items() if name not in added})
    assert {"family_count", "tokens", "cost", "evaluator_seconds"} <= added
    assert {getattr(read, name) for name in added} == {None, 0}
