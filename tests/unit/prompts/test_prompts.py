"""What the LLM is asked: complete, varied, families in rotation, the same for the same stream."""

import ast
import random
from collections import Counter

import pytest

from archloop import answers, protocols
from archloop.contracts.values import Family
from archloop.errors import NotFound
from services.generator import prompts

SHAPES = protocols.load("shapes")


def _prompt(index: int = 0, seed: int = 0, template: str = "brief") -> prompts.Prompt:
    return prompts.render(template, protocol=SHAPES, rng=random.Random(seed), index=index)


def test_a_cycle_asks_for_every_family_equally_often() -> None:
    asked = Counter(_prompt(index).family for index in range(64))
    assert asked == dict.fromkeys(Family, 8)


def test_the_brief_states_family_data_and_contract() -> None:
    prompt = _prompt(index=1)
    assert prompt.family == "residual"
    for part in ("Family: residual", "(3, 16, 16)", "10 classes", "supported_hyperparameters", "train_setup", "learn"):
        assert part in prompt.text


def test_every_wish_is_in_the_text() -> None:
    prompt = _prompt(seed=5)
    brief = prompt.brief
    for part in (f"{brief.budget:,}", brief.layout, brief.activation, brief.head, *brief.tricks):
        assert part in prompt.text


def test_the_same_stream_gives_the_same_prompt_and_another_one_another() -> None:
    assert _prompt(seed=1) == _prompt(seed=1)
    assert len({_prompt(seed=seed).text for seed in range(50)}) >= 48


def test_data_of_another_protocol_is_described() -> None:
    digits = protocols.load("digits")
    text = prompts.render("brief", protocol=digits, rng=random.Random(0), index=0).text
    assert f"({', '.join(map(str, digits.dataset.shape))})" in text


def test_an_unknown_template_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="brief, exemplar"):
        _prompt(template="breif")


def test_the_exemplar_shows_a_reference_inside_the_same_brief() -> None:
    brief, exemplar = _prompt(), _prompt(template="exemplar")
    assert {*brief.text.splitlines()} < {*exemplar.text.splitlines()}
    reference = answers.extract(exemplar.text)
    assert not reference.problem
    assert "Net" in {node.name for node in ast.parse(reference.code).body if isinstance(node, ast.ClassDef)}
