"""What a run's specification says of itself, and what cannot be asked for together."""

from typing import Any

import pytest
from pydantic import ValidationError

from archloop.contracts.budget import BudgetSpec
from archloop.contracts.spec import NoveltySpec, RunSpec, SelectionSpec, TrainingSpec
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
    assert TrainingSpec(method="trl", **field).method == "trl"
    with pytest.raises(ValidationError, match="error, quantization and gradient_checkpointing need method: trl"):
        TrainingSpec(method="lean", **field)


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
