"""The numbers of a run, counted by hand."""

from datetime import timedelta
from pathlib import Path

import pytest

from archloop.contracts.messages import CandidateEvaluatedOk, CandidateGenerated
from archloop.errors import NotFound
from services.registry.records import Candidate, CandidateQuery
from services.registry.statistics.intervals import wilson
from services.registry.statistics.summary import Summary, summarise
from tests.unit.registry.world import RUN, World, spec


async def finished(world: World, **changes: object) -> tuple[Summary, list[Candidate]]:
    await world.request(spec(**changes))
    await world.run_to_end()
    candidates = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    return await summarise(world.store, RUN), list(candidates)


async def test_a_cycle_counts_what_its_candidates_are(tmp_path: Path) -> None:
    summary, candidates = await finished(World(tmp_path), candidates=12)
    cycle, own = summary.cycles[1], [c for c in candidates if c.cycle == 1]
    accuracies = sorted(c.evaluation.accuracy for c in own if c.valid)
    assert 0 < len(accuracies) < 12
    assert (cycle.generated, cycle.evaluated, cycle.valid) == (12, 12, len(accuracies))
    assert cycle.valid_rate == len(accuracies) / 12
    assert (cycle.valid_rate_low, cycle.valid_rate_high) == wilson(len(accuracies), 12)
    assert cycle.mean_accuracy == pytest.approx(sum(accuracies) / len(accuracies))
    assert cycle.best_accuracy == accuracies[-1]
    assert cycle.mean_accuracy_low < cycle.mean_accuracy < cycle.mean_accuracy_high
    passed = sum(a >= 0.5 for a in accuracies)
    assert cycle.share_ge_threshold_trained == passed / len(accuracies)
    assert cycle.share_ge_threshold_generated == passed / 12
    assert cycle.outcomes == {"ok": len(accuracies), "build_error": 12 - len(accuracies)}
    assert cycle.novel + cycle.near_duplicate + cycle.exact_duplicate == cycle.judged == cycle.valid
    assert cycle.admitted == sum(c.admitted for c in own) == sum(cycle.families.values())
    assert cycle.median_similarity == 0.5


async def test_rates_of_verdicts_are_of_the_valid_and_costs_of_the_admitted(tmp_path: Path) -> None:
    summary, candidates = await finished(World(tmp_path), candidates=12)
    for part in (*summary.cycles, summary.totals):
        assert part.novelty_rate == part.novel / part.valid
        assert (part.novelty_rate_low, part.novelty_rate_high) == wilson(part.novel, part.valid)
        assert part.near_duplicate_rate == part.near_duplicate / part.valid
        assert (part.exact_duplicate_rate_low, part.exact_duplicate_rate_high) == wilson(
            part.exact_duplicate, part.valid
        )
        passed = round(part.share_ge_threshold_trained * part.valid)
        assert (part.share_ge_threshold_trained_low, part.share_ge_threshold_trained_high) == wilson(passed, part.valid)
        assert (part.share_ge_threshold_generated_low, part.share_ge_threshold_generated_high) == wilson(
            passed, part.generated
        )
        assert part.tokens_per_admitted == part.tokens / part.admitted
        assert part.evaluator_seconds_per_admitted == part.evaluator_seconds / part.admitted
    families = {c.judgement.family for c in candidates if c.admitted}
    assert summary.totals.family_count == len(families) == len(set().union(*(c.families for c in summary.cycles)))


async def test_unique_total_is_the_sum_of_the_admitted_so_far(tmp_path: Path) -> None:
    summary, candidates = await finished(World(tmp_path), candidates=12)
    admitted = [c.admitted for c in summary.cycles]
    assert [c.unique_total for c in summary.cycles] == [sum(admitted[: i + 1]) for i in range(3)]
    assert summary.unique_total == summary.totals.admitted == sum(c.admitted for c in candidates)
    assert summary.totals.generated == 36


async def test_a_cycle_names_the_adapter_that_wrote_it_and_the_training_that_followed(tmp_path: Path) -> None:
    world = World(tmp_path)
    summary, _ = await finished(world)
    assert [c.adapter for c in summary.cycles] == [None, "run-1-c0", "run-1-c1"]
    requested = [m.pair_count for m in world.trainer.requests]
    assert [c.pairs for c in summary.cycles] == [*requested, None]


async def test_lost_candidates_are_generated_and_not_valid(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.evaluator.deaf_to = {0, 3}
    summary, _ = await finished(world, cycles=1)
    (cycle,) = summary.cycles
    assert (cycle.generated, cycle.lost, cycle.evaluated) == (6, 2, 4)
    assert cycle.valid_rate == cycle.valid / 6


async def test_seconds_are_spans_from_the_first_to_the_last_event_of_a_step(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(cycles=1, candidates=1))
    for _ in range(40):
        if not world.pending:
            break
        await world.deliver_to_registry()
        if world.pending:
            world.now += timedelta(seconds=5)
            await world.deliver()
    seconds = (await summarise(world.store, RUN)).cycles[0].seconds
    judged = any(isinstance(m, CandidateEvaluatedOk) for m in world.published)
    assert seconds.model_dump() == {
        "generate": 5.0,
        "evaluate": 5.0,
        "judge": 5.0 if judged else None,
        "train": None,
        "total": 15.0 if judged else 10.0,
    }


async def test_before_anything_is_known_nothing_is_claimed(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec())
    await world.deliver_to_registry()
    summary = await summarise(world.store, RUN)
    (cycle,) = summary.cycles
    assert (cycle.generated, cycle.valid, cycle.closed) == (0, 0, False)
    undefined = {"valid_rate", "valid_rate_low", "mean_accuracy", "median_accuracy", "best_accuracy"}
    undefined |= {"share_ge_threshold_trained", "share_ge_threshold_generated", "family_entropy_bits"}
    undefined |= {"novelty_rate", "novelty_rate_low", "tokens_per_admitted", "evaluator_seconds_per_admitted"}
    assert {name for name in undefined if getattr(cycle, name) is not None} == set()
    assert "NaN" not in summary.model_dump_json()


async def test_a_cycle_without_one_valid_candidate_has_a_rate_and_no_mean(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(candidates=3))
    await world.deliver_to_registry()
    while waiting := [i for i, (queue, _) in enumerate(world.pending) if queue == "generator"]:
        await world.deliver(waiting[0])
    assert sum(isinstance(m, CandidateGenerated) for m in world.published) == 3
    await world.deliver_to_registry()
    cycle = (await summarise(world.store, RUN)).cycles[0]
    assert (cycle.generated, cycle.valid_rate, cycle.mean_accuracy) == (3, 0.0, None)


async def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await summarise(World(tmp_path).store, "nobody")
