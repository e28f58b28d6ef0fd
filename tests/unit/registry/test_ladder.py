"""The bar of a ladder comes from closed cycles, is the same for a whole cycle, and is said again as it was said."""

import pytest

from archloop import protocols
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.values import Outcome, Rung
from archloop.protocols.model import Ladder
from services.registry.control import ladder
from services.registry.records import CandidateQuery
from services.registry.statistics.rates import observations, rates
from services.registry.statistics.summary import summarise
from tests.unit.registry import world as worlds
from tests.unit.registry.test_rates import candidate, evaluation
from tests.unit.registry.world import RUN, World, number, spec

TEN = [0.1, 0.3, 0.2, 0.5, 0.4, 0.7, 0.6, 0.9, 0.8, 1.0]


@pytest.mark.parametrize(
    ("seen", "quantile", "expected"),
    [
        (TEN, 0.5, 0.6),
        (TEN, 0.05, 0.1),
        (TEN, 0.75, 0.8),
        (TEN, 0.99, 1.0),
        ([0.2] * 12, 0.5, 0.2),
        ([0.1] * 9 + [0.9], 0.5, 0.1),
        (TEN[:9], 0.5, None),
        ([], 0.5, None),
    ],
)
def test_the_bar_is_an_accuracy_that_this_share_does_not_reach(seen, quantile, expected):
    found = ladder.bar(seen, quantile)
    assert found == expected
    assert found is None or sum(accuracy < found for accuracy in seen) <= quantile * len(seen)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A loop whose protocol has a ladder, and an evaluator that obeys the bar it is told."""
    base = protocols.load("digits").model_copy(update={"ladder": Ladder(share=0.25, quantile=0.5)})
    monkeypatch.setattr(ladder.protocols, "load", lambda _: base)

    class Climbing(worlds.Evaluator):
        async def handle(self, message):
            if not (told := await super().handle(message)):
                return []
            found = told[0].evaluation
            reached = found.accuracy and number(message.code.text, "rung") % 1000 / 1000
            rung = Rung(share=0.25, accuracy=reached, bar=message.bar)
            changes = {"rung": rung}
            if found.valid and not rung.passed:
                changes |= {"outcome": Outcome.STOPPED, "accuracy": None}
            found = found.model_copy(update=changes)
            kind = worlds.CandidateEvaluatedOk if found.valid else worlds.CandidateEvaluatedFailed
            return [kind(**message.about(), code=message.code, evaluation=found)]

    made = World(tmp_path)
    made.evaluator = made.services["evaluator"] = Climbing()
    return made


async def test_every_request_of_a_cycle_carries_the_bar_of_the_cycles_before_it(world):
    await world.request(spec(candidates=16, cycles=4))
    await world.run_to_end()
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    for cycle in range(4):
        asked = [m for m in world.published if isinstance(m, GenerationRequested) and m.cycle == cycle]
        seen = [c.evaluation.rung.accuracy for c in rows if c.cycle < cycle]
        assert {m.bar for m in asked} == {ladder.bar([a for a in seen if a is not None], 0.5)}
    assert {m.bar for m in asked} != {None}
    answered = [m for m in world.published if isinstance(m, CandidateGenerated) and m.cycle == 3]
    assert {m.bar for m in answered} == {m.bar for m in asked}


async def test_who_was_stopped_is_settled_and_neither_judged_nor_admitted_nor_trained_on(world):
    await world.request(spec(candidates=16, cycles=4))
    await world.run_to_end()
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    stopped = [c for c in rows if c.evaluation.outcome is Outcome.STOPPED]
    assert stopped
    assert {(c.valid, c.judgement, c.admitted, c.awaits) for c in stopped} == {(False, None, False, None)}
    summary = await summarise(world.store, RUN)
    assert summary.totals.stopped == len(stopped)
    assert summary.totals.valid_rate == (summary.totals.valid + len(stopped)) / 64


async def test_the_registry_says_the_same_bar_again_after_a_restart_too(world):
    await world.request(spec(candidates=16, cycles=2))
    while not any(isinstance(m, CandidateGenerated) and m.cycle == 1 for m in world.published):
        await world.deliver()
    await world.kill()
    world.evaluator.deaf_to = {3}
    await world.run_to_end()
    again = [m.bar for m in world.published if isinstance(m, CandidateGenerated) and (m.cycle, m.index) == (1, 3)]
    assert len(again) > 1
    assert set(again) == {ladder.bar(await seen_in_cycle(world, 0), 0.5)}
    assert None not in again


async def seen_in_cycle(world, cycle):
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN, cycle=cycle))).items
    return [c.evaluation.rung.accuracy for c in rows if c.evaluation and c.evaluation.rung.accuracy is not None]


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        (["ok", "stopped"], 1.0),
        (["ok", "ok", "build_error", "stopped"], 0.75),
        (["stopped", "below_chance"], 0.5),
        (["stopped"] * 3, 1.0),
        (["timeout", "ok"], 0.5),
    ],
)
def test_the_valid_rate_counts_those_that_were_stopped_above_chance_and_no_mean_does(outcomes, rate):
    accuracies = {"ok": 0.8}
    given = [candidate(Outcome(name), accuracies.get(name)) for name in outcomes]
    rung = Rung(share=0.25, accuracy=0.4, bar=0.5)
    given = [c.model_copy(update={"evaluation": c.evaluation.model_copy(update={"rung": rung})}) for c in given]
    found = rates(observations(given), 0.5)
    assert (found.valid_rate, found.valid, found.stopped) == (rate, outcomes.count("ok"), outcomes.count("stopped"))
    assert found.mean_accuracy == (0.8 if "ok" in outcomes else None)
    assert found.mean_rung_accuracy == pytest.approx(0.4)


def test_without_a_ladder_nothing_is_written_of_one():
    found = rates(observations([candidate(Outcome.OK, 0.5)]), 0.5).model_dump()
    assert not found.keys() & {"stopped", "mean_rung_accuracy"}
    assert "rung" not in evaluation(Outcome.OK, 0.5).model_dump()
