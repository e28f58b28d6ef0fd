"""What a run's specification says of itself, and what cannot be asked for together."""

from typing import Any

import pytest
from pydantic import ValidationError

from archloop.contracts.budget import BudgetSpec
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec, SelectionSpec
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import AdapterRef, BlobRef

BLOB = BlobRef(key="k", sha256="0" * 64, bytes=1)
ADAPTER = AdapterRef(adapter="a", manifest=BLOB, base_model="tiny")
ASKED: dict[str, Any] = {"cycles": 1, "candidates": 4, "protocol": "digits"}


@pytest.mark.parametrize(
    "beginning",
    [
        {},
        {"adapter": ADAPTER},
        {"adapter": ADAPTER.model_copy(update={"base_model": "org/other"}), "base_model": "org/other"},
        {"bootstrap": {"pairs": BLOB, "count": 1}},
        {"bootstrap": {"pairs": BLOB, "count": 1}, "base_model": "org/other"},
        {"frozen": True, "adapter": ADAPTER},
    ],
)
def test_a_run_begins_with_the_base_model_an_adapter_of_it_or_pairs(beginning: dict[str, Any]) -> None:
    spec = RunSpec(**ASKED, **beginning)
    assert spec == RunSpec.model_validate(spec.model_dump())


@pytest.mark.parametrize(
    ("beginning", "said"),
    [
        ({"adapter": ADAPTER, "base_model": "org/other"}, "the adapter was tuned on 'tiny', not on 'org/other'"),
        ({"adapter": ADAPTER.model_copy(update={"base_model": "x"})}, "the adapter was tuned on 'x', not on 'tiny'"),
        ({"adapter": ADAPTER, "bootstrap": {}}, "a run begins with an adapter or with bootstrap pairs, not with both"),
        ({"frozen": True, "adapter": ADAPTER, "bootstrap": {"count": 2}}, "a run begins with an adapter or with"),
    ],
)
def test_a_run_that_begins_with_two_things_or_anothers_adapter_is_refused(beginning, said) -> None:
    with pytest.raises(ValidationError, match=f"error, {said}"):
        RunSpec(**ASKED, **beginning)


@pytest.mark.parametrize(
    ("fallback", "threshold", "taken"),
    [(0.3, 0.5, True), (0.5, 0.5, True), (0.0, 0.0, True), (0.500001, 0.5, False), (1.0, 0.99, False)],
)
def test_the_fallback_is_at_most_the_threshold(fallback: float, threshold: float, *, taken: bool) -> None:
    values = {"fallback_threshold": fallback, "threshold": threshold}
    if taken:
        assert SelectionSpec(**values).model_dump() | values == SelectionSpec(**values).model_dump()
    else:
        with pytest.raises(ValidationError, match="error, fallback_threshold must not exceed threshold"):
            SelectionSpec(**values)


@pytest.mark.parametrize("field", [{"quantization": "nf4"}, {"gradient_checkpointing": True}])
def test_what_trl_alone_can_do_needs_it(field: dict[str, Any]) -> None:
    assert TrainingSpec(engine="trl", **field).engine == "trl"
    with pytest.raises(ValidationError, match="error, quantization and gradient_checkpointing need engine: trl"):
        TrainingSpec(engine="lean", **field)


@pytest.mark.parametrize(
    "limits", [{}, {"tokens": 5}, {"candidates": 1, "cost": 0.5}, {"evaluator_seconds": 2.0}, {"wall_seconds": 9.0}]
)
def test_limits_that_are_not_set_are_none(limits: dict[str, float]) -> None:
    assert BudgetSpec(**limits).limits() == limits


@pytest.mark.parametrize("kind", [RunSpec, SelectionSpec, TrainingSpec, BudgetSpec, NoveltySpec])
def test_a_misspelt_field_and_a_change_are_refused(kind: type[Any]) -> None:
    spec = kind(**(ASKED if kind is RunSpec else {}))
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind.model_validate({**spec.model_dump(), "treshold": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec, next(iter(kind.model_fields)), 1)


@pytest.mark.parametrize("engine", ["lean", "trl"])
def test_an_engine_under_its_earlier_name_is_read(engine: str) -> None:
    found = TrainingSpec.model_validate({"method": engine, "r": 8})
    assert (found.engine, found.method, found.r) == (engine, "sft", 8)
    assert found.model_dump()["engine"] == engine
    assert TrainingSpec.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "given",
    [{"method": "trl", "engine": "lean"}, {"method": "tlr"}, {"method": ["trl"]}, {"engine": "dpo"}, {"engine": None}],
)
def test_other_names_of_engines_and_methods_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingSpec.model_validate(given)


def test_what_came_later_is_not_written_at_its_default() -> None:
    assert not {"method", "beta"} & TrainingSpec().model_dump().keys()
    assert "answers" not in GenerationSpec().model_dump()
    assert (
        TrainingSpec(method="dpo", beta=0.2).model_dump() | {"method": "dpo", "beta": 0.2}
        == TrainingSpec(method="dpo", beta=0.2).model_dump()
    )


@pytest.mark.parametrize(
    ("generation", "taken"),
    [
        ({}, False),
        ({"answers": 1}, False),
        ({"answers": 2}, True),
        ({"prompts": 8}, True),
        ({"prompts": 15}, True),
        ({"prompts": 16}, False),
        ({"prompts": 208, "answers": 4}, True),
    ],
)
@pytest.mark.parametrize("method", ["dpo", "negatives"])
def test_preferences_need_prompts_that_are_shared(generation: dict[str, int], method: str, *, taken: bool) -> None:
    given = {"cycles": 2, "candidates": 8, "protocol": "digits", "generation": generation}
    assert RunSpec.model_validate(given)
    if taken:
        assert RunSpec.model_validate(given | {"training": {"method": method}}).training.method == method
    else:
        with pytest.raises(
            ValidationError, match=r"generation\.answers and candidates to 2 or more, or fewer generation\.prompts"
        ):
            RunSpec.model_validate(given | {"training": {"method": method}})


@pytest.mark.parametrize(("candidates", "taken"), [(1, False), (2, True)])
def test_one_candidate_a_cycle_shares_its_prompt_with_nobody(candidates: int, *, taken: bool) -> None:
    given = {"cycles": 2, "candidates": candidates, "protocol": "digits", "generation": {"answers": 4}}
    for method in ("dpo", "negatives"):
        if taken:
            assert RunSpec.model_validate(given | {"training": {"method": method}})
        else:
            with pytest.raises(ValidationError, match="candidates to 2 or more"):
                RunSpec.model_validate(given | {"training": {"method": method}})


@pytest.mark.parametrize(("mode", "taken"), [("whole", False), ("edit", True), ("mixed", True)])
def test_only_edits_are_guided(mode: str, *, taken: bool) -> None:
    given = {"cycles": 1, "candidates": 8, "protocol": "digits", "generation": {"mode": mode, "guided": True}}
    if taken:
        assert RunSpec.model_validate(given).generation.guided
    else:
        with pytest.raises(ValidationError, match=r"generation\.guided is for edits"):
            RunSpec.model_validate(given)


@pytest.mark.parametrize(
    ("collapse", "wrong"),
    [
        ({}, "needs something to do"),
        ({"below": 0.4, "steps": 2}, "needs something to do"),
        ({"parents": "archive"}, r"needs edits; set generation\.mode"),
        ({"replay": 8}, r"selection\.replay is null"),
        ({"temperature": 0}, "greater than 0"),
        ({"temperature": 0.1, "below": 0}, "greater than 0"),
        ({"temperature": 0.1, "bound": 0.5}, "Extra inputs"),
        ({"temperature": 0.1}, None),
    ],
)
def test_a_collapse_that_cannot_be_answered_is_refused(collapse: dict[str, Any], wrong: str | None) -> None:
    given = {"cycles": 2, "candidates": 8, "protocol": "digits", "selection": {"replay": None}, "collapse": collapse}
    if wrong is None:
        assert RunSpec.model_validate(given).collapse
    else:
        with pytest.raises(ValidationError, match=wrong):
            RunSpec.model_validate(given)


@pytest.mark.parametrize(
    ("answers", "prompts", "expected"),
    [
        (1, None, [0, 1, 2, 3, 4, 5]),
        (2, None, [0, 0, 1, 1, 2, 2]),
        (4, None, [0, 0, 0, 0, 1, 1]),
        (1, 4, [0, 1, 2, 3, 0, 1]),
        (2, 2, [0, 0, 1, 1, 0, 0]),
        (1, 1, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_which_prompt_a_candidate_answers(answers: int, prompts: int | None, expected: list[int]) -> None:
    asked = GenerationSpec(answers=answers, prompts=prompts)
    assert [asked.prompt(index) for index in range(6)] == expected
