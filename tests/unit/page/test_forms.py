"""The form of a run's spec: what is shown, sent back unchanged, is the spec that it was made of."""

import pytest

from archloop import presets
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput
from archloop.validation import checked
from services.registry.page import forms

WITH = {
    "gate and confirm": {"gate": {"candidates": 4, "margin": 0.1}, "confirm": {"count": 2, "seeds": 4}},
    "a budget": {"budget": {"tokens": 1000, "wall_seconds": 60.5}},
    "nothing chosen": {"generation": {"top_k": None, "prompts": None}, "selection": {"quota": None, "replay": None}},
    "a frozen LLM": {"frozen": True, "training": {"gradient_checkpointing": False}},
    "edits": {"generation": {"mode": "mixed", "edit_share": 0.25, "parents": "archive", "memory": "all"}},
}
LEAST = {"cycles": 2, "candidates": 4, "protocol": "digits"}


def sent(values: dict) -> dict[str, str]:
    """What a browser sends of a form that nobody has changed."""
    found: dict[str, str] = {}
    for group in forms.groups(values):
        if group.optional and group.given:
            found[f"{group.name}.given"] = "on"
        for field in group.fields:
            if field.kind != "checkbox" or field.value:
                found[field.name] = field.value
    return found


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_goes_through_its_form_unchanged(name: str) -> None:
    spec = presets.load(name)
    values = spec.model_dump(mode="json")
    assert checked(RunSpec, forms.given(sent(values), values), "spec") == spec


@pytest.mark.parametrize("case", WITH)
def test_a_spec_goes_through_its_form_unchanged(case: str) -> None:
    spec = RunSpec.model_validate(LEAST | WITH[case])
    values = spec.model_dump(mode="json")
    base = RunSpec.model_validate(LEAST).model_dump(mode="json")
    assert checked(RunSpec, forms.given(sent(values), base), "spec") == spec


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("cycles", "two", "cycles"),
        ("candidates", "0", "candidates"),
        ("generation.temperature", "9", "generation.temperature"),
        ("selection.threshold", "", "selection.threshold"),
        ("training.r", "7", "training.r"),
        ("budget.tokens", "-1", "budget.tokens"),
        ("generation.mode", "all", "generation.mode"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: str, named: str) -> None:
    values = RunSpec.model_validate(LEAST).model_dump(mode="json")
    with pytest.raises(InvalidInput, match=named):
        checked(RunSpec, forms.given(sent(values) | {field: value}, values), "spec")


def test_the_form_has_every_field_that_can_be_typed() -> None:
    names = {field.name for group in forms.groups(presets.load("demo").model_dump()) for field in group.fields}
    spec = presets.load("demo").model_dump()
    typed = {
        f"{part}.{name}" if part else name
        for part, fields in [("", spec), *((k, v) for k, v in spec.items() if isinstance(v, dict))]
        for name, value in fields.items()
        if isinstance(value, str | int | float | bool)
    }
    assert typed - names == set()
