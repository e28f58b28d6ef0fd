"""What every store promises of acts: recorded once, in order, with their run; and of cycles that took them up."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from archloop.contracts.acts import Act
from archloop.contracts.messages import CandidateGenerated, RunFinished, RunSteered
from archloop.contracts.values import SourceCode
from archloop.errors import NotFound
from services.registry.acts import Exemplars, Steered, Submitted
from services.registry.records import Run
from services.registry.stores.port import Store
from tests.contract import test_store
from tests.contract.test_store import AT, RUN, SPEC, evaluated, generated

opener, store = test_store.opener, test_store.store
CODE = SourceCode.inline("class Net: 'é'")


def steered(name: str, verb: str = "pause", run_id: str = RUN, **said: Any) -> RunSteered:
    act = Act.model_validate({"verb": verb, "who": "ann", **said})
    return RunSteered(run_id=run_id, act_id=name, act=act)


async def known(store: Store) -> Run:
    run = await store.run(RUN)
    assert run is not None
    return run


async def test_acts_are_kept_in_the_order_in_which_they_were_recorded(store: Store) -> None:
    messages = [
        steered("z"),
        steered("a", "resume"),
        steered("m", "change", changes={"candidates": 3, "budget": {"tokens": 9}}),
        steered("b", "submit", code=CODE, comment="mine"),
        steered("r", "revert", adapter="r-c0", comment="it got worse"),
        steered("c", "cancel"),
    ]
    for number, message in enumerate(messages):
        await store.record(message, AT + timedelta(seconds=number))
    acts = (await known(store)).acts
    assert [(each.act_id, each.act) for each in acts] == [(m.act_id, m.act) for m in messages]
    assert [each.at for each in acts] == [AT + timedelta(seconds=n) for n in range(6)]
    assert (await store.runs()).items[0].acts == acts
    assert await store.acted() == {RUN: 6}


async def test_an_act_that_comes_again_is_no_other_act(store: Store) -> None:
    first = await store.record(steered("a"), AT)
    again = await store.record(steered("a"), AT + timedelta(hours=1))
    assert (first.new, again.new) == (True, False)
    assert [each.at for each in (await known(store)).acts] == [AT]
    assert [each.type for each in await store.events(run_id=RUN)].count("archloop.run.steered.v1") == 1


async def test_of_acts_at_once_none_is_lost_and_none_is_there_twice(store: Store) -> None:
    names = [f"act-{n % 8}" for n in range(24)]
    await asyncio.gather(*(store.record(steered(name), AT) for name in names))
    assert sorted(each.act_id for each in (await known(store)).acts) == sorted(set(names))


async def test_an_act_on_a_run_that_there_is_not_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.record(steered("a", run_id="nobody"), AT)
    assert await store.acted() == {}


async def test_the_acts_of_runs_that_are_over_are_not_looked_at(store: Store) -> None:
    await store.record(steered("a", "cancel"), AT)
    await store.record(RunFinished(run_id=RUN, reason="cancelled by ann"), AT)
    assert await store.acted() == {}
    assert (await known(store)).status == "cancelled"


async def test_the_log_has_the_code_of_an_act_by_its_hash(store: Store) -> None:
    await store.record(steered("a", "submit", code=CODE), AT)
    data = (await store.events(run_id=RUN))[-1].data
    assert data["act"]["code"]["sha256"] == CODE.sha256
    assert "text" not in data["act"]["code"]


async def test_a_cycle_keeps_what_it_took_up_and_the_first_word_counts(store: Store) -> None:
    own = Steered(
        acts=2,
        spec=SPEC.model_copy(update={"candidates": 4}),
        exemplars=Exemplars(pinned=("b", "a"), banned=("c",)),
        submitted=(Submitted(code=CODE, who="ann"),),
        reverted="r-c0",
        wanted=5,
    )
    await store.open_cycle(RUN, 1, None, AT, own)
    await store.open_cycle(RUN, 1, None, AT, own.model_copy(update={"acts": 9}))
    plain, taken = await store.cycles(RUN)
    assert plain.steered is None
    assert (taken.steered, taken.wanted(SPEC)) == (own, 5)


@pytest.mark.parametrize("wanted", [1, 3])
async def test_a_cycle_is_complete_once_it_has_as_many_as_it_took_up(store: Store, wanted: int) -> None:
    await store.open_cycle(RUN, 1, None, AT, Steered(spec=SPEC, wanted=wanted))
    complete = []
    for index in range(wanted):
        await store.record(generated(index, cycle=1), AT)
        complete.append((await store.record(evaluated(index, accuracy=None, cycle=1), AT)).complete)
    assert complete == [False] * (wanted - 1) + [True]


async def test_a_candidate_says_who_submitted_it(store: Store) -> None:
    await store.record(CandidateGenerated(**{**dict(generated()), "submitter": "ann"}), AT)
    await store.record(generated(1), AT)
    found = [await store.candidate(each.candidate_id) for each in (generated(), generated(1))]
    assert [each.submitter for each in found if each] == ["ann", ""]
