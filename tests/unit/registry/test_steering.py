"""What acts make of a run, and when they are possible: tables of decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archloop.contracts.acts import Act, Changes
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, BlobRef, SourceCode
from archloop.errors import Conflict, InvalidInput
from services.registry.acts import Exemplars, RecordedAct, Steered, listed, paused_s
from services.registry.control import steering
from services.registry.records import Cycle, Run
from tests.unit.registry.world import spec

AT = datetime(2026, 1, 1, tzinfo=UTC)
CODE = SourceCode.inline("class Net: ...")
HOTTER = {"generation": {"temperature": 1.5}}


def act(verb: str, **said: Any) -> Act:
    return Act.model_validate({"verb": verb, "who": "ann", **said})


def change(**changes: Any) -> Act:
    return act("change", changes=changes)


def steered_by(*acts: Act, planned: Any = (), reason: str | None = None) -> Run:
    """A run of three cycles, steered so, a second between two acts."""
    recorded = tuple(
        RecordedAct(act_id=str(n), at=AT + timedelta(seconds=n), act=each) for n, each in enumerate(acts, 1)
    )
    asked = spec(steering=[{"cycle": cycle, "act": each.model_dump()} for cycle, each in planned])
    return Run(run_id="r", spec=asked, created=AT, acts=recorded, finished=reason and AT, reason=reason)


def cycles(count: int, steered: Steered | None = None) -> list[Cycle]:
    return [Cycle(run_id="r", cycle=number, opened=AT, steered=steered) for number in range(count)]


@pytest.mark.parametrize(
    ("acts", "more", "something"),
    [
        ([], act("pause"), True),
        (["pause"], act("pause"), False),
        ([], act("resume"), False),
        (["pause"], act("resume"), True),
        (["pause", "resume"], act("pause"), True),
        (["pause", "resume"], act("resume"), False),
        ([], act("cancel"), True),
        (["pause"], act("cancel"), True),
        (["cancel"], act("cancel"), False),
    ],
    ids=str,
)
def test_an_act_that_makes_nothing_otherwise_changes_nothing(acts: list[str], more: Act, something: bool) -> None:
    run = steered_by(*map(act, acts))
    assert steering.changes_something(run, cycles(1), more) is something


@pytest.mark.parametrize(
    ("before", "again", "something"),
    [
        ([change(**HOTTER)], change(**HOTTER), False),
        ([change(**HOTTER)], change(generation={"temperature": 0.5}), True),
        ([], change(candidates=6), False),
        ([], change(budget={}), False),
        ([act("pin", candidate="a")], act("pin", candidate="a"), False),
        ([act("pin", candidate="a")], act("ban", candidate="a"), True),
        ([act("ban", candidate="a")], act("release", candidate="a"), True),
        ([], act("release", candidate="a"), False),
        ([act("submit", code=CODE)], act("submit", code=CODE), False),
        ([act("submit", code=CODE)], act("submit", code=SourceCode.inline("other")), True),
        ([], act("revert", adapter="tiny"), True),
        ([act("revert", adapter="tiny")], act("revert", adapter="tiny"), False),
    ],
    ids=str,
)
def test_what_the_next_cycle_takes_up_already_changes_nothing(before: list[Act], again: Act, something: bool) -> None:
    assert steering.changes_something(steered_by(*before), cycles(1), again) is something


def test_what_a_cycle_took_up_may_be_submitted_again() -> None:
    run = steered_by(act("submit", code=CODE))
    taken = steering.taken_up(run, 1, None)
    assert taken is not None
    assert steering.changes_something(run, [*cycles(1), *cycles(1, taken)], act("submit", code=CODE))


@pytest.mark.parametrize("verb", ["pause", "resume", "change", "pin", "ban", "release", "submit", "revert", "cancel"])
@pytest.mark.parametrize("reason", ["completed", "budget exhausted: tokens 1 of 1", "cycle 0: every one was lost"])
def test_a_run_that_is_over_is_not_steered_any_more(verb: str, reason: str) -> None:
    with pytest.raises(Conflict, match=rf"'r' is over \({reason}\): nobody can {verb} it any more"):
        steering.changes_something(steered_by(reason=reason), cycles(3), Act.model_construct(verb=verb))


def test_a_run_that_was_cancelled_is_cancelled_again_and_nothing_else() -> None:
    for run in (steered_by(act("cancel")), steered_by(act("cancel"), reason="cancelled by ann")):
        assert not steering.changes_something(run, cycles(1), act("cancel"))
        with pytest.raises(Conflict, match="nobody can resume it any more"):
            steering.changes_something(run, cycles(1), act("resume"))


@pytest.mark.parametrize(
    "late",
    [
        change(**HOTTER),
        act("pin", candidate="a"),
        act("release", candidate="a"),
        act("submit", code=CODE),
        act("revert", adapter="tiny"),
    ],
    ids=str,
)
def test_in_the_last_cycle_nothing_waits_for_the_next(late: Act) -> None:
    assert late.verb == "release" or steering.changes_something(steered_by(), cycles(2), late)
    with pytest.raises(Conflict, match="its last cycle is open"):
        steering.changes_something(steered_by(), cycles(3), late)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"selection": {"threshold": 0.1}}, "fallback_threshold must not exceed threshold"),
        ({"selection": {"fallback_threshold": 0.9}}, "fallback_threshold must not exceed threshold"),
        ({"generation": {"template": "poem"}}, "generation.template"),
    ],
)
def test_a_change_that_the_spec_does_not_allow_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        steering.changes_something(steered_by(), cycles(1), change(**changes))


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"candidates": 9}, "candidates", 9),
        ({"generation": {"temperature": 1.5}}, "generation.temperature", 1.5),
        ({"generation": {"template": "short"}}, "generation.template", "short"),
        ({"generation": {"families": ["dense"]}}, "generation.families", ("dense",)),
        ({"novelty": {"threshold": 0.7}}, "novelty.threshold", 0.7),
        ({"selection": {"threshold": 0.6}}, "selection.threshold", 0.6),
        ({"selection": {"fallback_threshold": 0.0}}, "selection.fallback_threshold", 0.0),
        ({"budget": {"tokens": 5}}, "budget.tokens", 5),
    ],
)
def test_a_change_changes_its_field_and_no_other(changes: dict[str, Any], path: str, value: object) -> None:
    before = spec()
    after = steering.changed(before, Changes.model_validate(changes))
    found: Any = after
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    section = path.split(".")[0]
    assert {name for name, own in after if own != getattr(before, name)} == {section}
    others = (
        {name: own for name, own in dict(getattr(after, section)).items() if name != path.split(".")[-1]}
        if ("." in path)
        else {}
    )
    assert others == {name: getattr(getattr(before, section), name) for name in others}


def wrote(*names: str) -> list[Cycle]:
    """Cycles that these adapters wrote; an empty name is the base model's."""
    manifest = BlobRef(key="m", sha256="b" * 64, bytes=1)
    refs = [AdapterRef(adapter=name, manifest=manifest, base_model="tiny") if name else None for name in names]
    return [Cycle(run_id="r", cycle=n, opened=AT, adapter=ref) for n, ref in enumerate(refs)]


@pytest.mark.parametrize("name", ["r-c1", "r-c0 ", "", "base"])
def test_a_version_that_wrote_no_cycle_is_not_reverted_to_and_those_that_did_are_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"adapter: .* one that has written a cycle of the run: tiny, r-c0$"):
        steering.changes_something(steered_by(), wrote("", "r-c0"), act("revert", adapter=name))
    assert steering.changes_something(steered_by(), wrote("", "r-c0"), act("revert", adapter="r-c0"))


def test_a_frozen_run_has_one_version_and_is_not_reverted() -> None:
    run = steered_by().model_copy(update={"spec": spec(frozen=True)})
    with pytest.raises(InvalidInput, match="the run is frozen"):
        steering.changes_something(run, cycles(1), act("revert", adapter="tiny"))


def test_the_last_word_counts_of_where_to_revert_to_and_for_one_cycle_only() -> None:
    run = steered_by(act("revert", adapter="r-c0"), act("revert", adapter="tiny"))
    first = steering.taken_up(run, 1, None)
    assert first is not None
    assert (first.acts, first.reverted) == (2, "tiny")
    second = steering.taken_up(run, 2, first)
    assert second is not None
    assert second.reverted == ""


def test_a_budget_replaces_the_one_before() -> None:
    before = spec(budget={"tokens": 5, "cost": 1.0})
    after = steering.changed(before, Changes.model_validate({"budget": {"candidates": 7}}))
    assert after.budget.limits() == {"candidates": 7}


def test_a_run_that_nobody_steered_has_cycles_that_are_not_steered() -> None:
    assert steering.taken_up(steered_by(), 0, None) is None
    assert steering.taken_up(steered_by(act("pause"), act("resume")), 1, None) is None


def test_a_cycle_takes_up_what_was_done_since_the_one_before_opened() -> None:
    run = steered_by(change(candidates=4), act("submit", code=CODE), act("pin", candidate="a"))
    first = steering.taken_up(run, 1, None)
    assert first is not None
    assert (first.acts, first.spec.candidates, first.wanted) == (3, 4, 5)
    assert [each.who for each in first.submitted] == ["ann"]
    later = steered_by(*(each.act for each in run.acts), act("pause"), act("ban", candidate="a"))
    second = steering.taken_up(later, 2, first)
    assert second is not None
    assert (second.acts, second.spec.candidates, second.wanted, second.submitted) == (5, 4, 4, ())
    assert second.exemplars == Exemplars(banned=("a",))


def test_what_was_planned_is_taken_up_in_its_cycle_before_what_was_done() -> None:
    run = steered_by(change(candidates=3), planned=[(1, change(candidates=9)), (2, change(candidates=2))])
    assert steering.taken_up(steered_by(planned=[(1, change(candidates=9))]), 0, None) is None
    first = steering.taken_up(run, 1, None)
    assert first is not None
    assert first.spec.candidates == 3
    second = steering.taken_up(run, 2, first)
    assert second is not None
    assert second.spec.candidates == 2


def test_a_change_that_no_longer_goes_with_those_before_it_is_passed_over() -> None:
    low = change(selection={"fallback_threshold": 0.4})
    run = steered_by(low, planned=[(1, change(selection={"threshold": 0.35}))])
    taken = steering.taken_up(run, 1, None)
    assert taken is not None
    assert (taken.spec.selection.threshold, taken.spec.selection.fallback_threshold) == (0.35, 0.3)


def test_a_run_whose_end_was_planned_ends_before_that_cycle() -> None:
    run = steered_by(planned=[(1, act("cancel"))])
    assert steering.ends_before(run, 0) is None
    assert steering.ends_before(run, 1) == steering.ends_before(run, 2) == "cancelled by ann"


@pytest.mark.parametrize(
    ("verbs", "seconds"),
    [
        ([], 0),
        (["pause"], 9),
        (["pause", "resume"], 1),
        (["pause", "pause", "resume"], 2),
        (["resume", "pause", "resume", "pause"], 7),
    ],
    ids=str,
)
def test_the_time_of_a_pause_is_that_between_its_acts(verbs: list[str], seconds: int) -> None:
    assert paused_s(steered_by(*map(act, verbs)).acts, AT + timedelta(seconds=10)) == seconds


@pytest.mark.parametrize(
    ("status", "verbs", "reason"),
    [
        ("running", [], None),
        ("paused", ["pause"], None),
        ("running", ["pause", "resume"], None),
        ("cancelled", ["pause", "cancel"], "cancelled by ann"),
        ("finished", ["pause", "resume"], "completed"),
        ("failed", [], "cycle 1: no adapter"),
    ],
)
def test_a_run_says_how_it_goes(status: str, verbs: list[str], reason: str | None) -> None:
    assert steered_by(*map(act, verbs), reason=reason).status == status


def test_the_list_of_acts_says_which_cycle_took_each_up_and_no_code() -> None:
    run = steered_by(act("pause"), change(**HOTTER), act("submit", code=CODE), act("cancel"))
    unsteered, *_ = cycles(1)
    opened = [
        Cycle(run_id="r", cycle=number, opened=AT, steered=Steered(spec=run.spec, acts=acts))
        for number, acts in ((1, 2), (2, 4))
    ]
    told = listed(run.acts, [unsteered, *opened])
    assert [(each.number, each.verb, each.who, each.cycle) for each in told] == [
        (1, "pause", "ann", None),
        (2, "change", "ann", 1),
        (3, "submit", "ann", 2),
        (4, "cancel", "ann", None),
    ]
    assert told[2].code_sha256 == CODE.sha256
    assert "class Net" not in told[2].model_dump_json()


def test_a_run_takes_no_more_acts_and_code_than_it_can_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steering, "MOST_ACTS", 2)
    monkeypatch.setattr(steering, "MOST_CODE", 20)
    full = steered_by(act("pause"), act("resume"))
    with pytest.raises(Conflict, match="steered 2 times"):
        steering.changes_something(full, cycles(1), act("pause"))
    assert steering.changes_something(full, cycles(1), act("cancel"))
    with pytest.raises(Conflict, match="20 characters of code"):
        steering.changes_something(
            steered_by(act("submit", code=CODE)), cycles(1), act("submit", code=SourceCode.inline("other code"))
        )


def test_the_spec_of_a_run_that_is_not_steered_is_written_as_before() -> None:
    assert {"steering", "families"}.isdisjoint(str(RunSpec(cycles=1, candidates=1, protocol="digits").model_dump()))
