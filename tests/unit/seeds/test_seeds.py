"""The seed program's networks: of their family, sound, varied, the same for the same stream; mutations of them."""

import ast
import itertools
import random
import statistics
import tokenize
from dataclasses import asdict, fields
from io import StringIO

import pytest
import torch

from archloop.contracts.values import Family
from services.generator import seeds
from tests.unit.seeds.marks import CLASSES, PRM, declared, marks, parameters, train_one_step


def _some(family: Family, count: int) -> list[seeds.Seed]:
    return [seeds.write(random.Random(f"{family} {i}"), family) for i in range(count)]


@pytest.mark.parametrize("family", Family)
def test_networks_bear_the_mark_of_their_family_alone(family: Family) -> None:
    for seed in _some(family, 60):
        assert marks(seed.code) == {family}, seed.code


@pytest.mark.parametrize("family", Family)
def test_networks_train(family: Family) -> None:
    for seed in _some(family, 6):
        logits = train_one_step(seed.code)
        assert logits.shape == (5, CLASSES), seed.code
        assert torch.isfinite(logits).all(), seed.code


@pytest.mark.parametrize("family", Family)
def test_what_is_declared_is_used_and_known(family: Family) -> None:
    for seed in _some(family, 12):
        assert declared(seed.code), seed.code
        assert declared(seed.code) <= PRM.keys()
        assert all(f"prm['{key}']" in seed.code for key in declared(seed.code)), seed.code


@pytest.mark.parametrize("family", Family)
def test_budgets_are_kept(family: Family) -> None:
    for seed in _some(family, 12):
        assert parameters(seed.code) <= seed.brief.budget, seed.code


def test_the_same_stream_gives_the_same_network() -> None:
    assert _some("gated", 5) == _some("gated", 5)


def test_wishes_are_obeyed_where_taste_allows() -> None:
    for seed in _some("inception", 30):
        assert f"nn.{seed.brief.activation}(" in seed.code
        assert ("self.stage2 = " in seed.code) == (seed.brief.layout == "one attribute for each stage")
        assert ("AdaptiveMaxPool2d(1)" in seed.code) == (seed.brief.head == "global max pooling")
        assert ("label_smoothing" in seed.code) == ("label smoothing" in seed.brief.tricks)


@pytest.mark.parametrize("family", Family)
def test_mutations_change_the_design_and_still_train(family: Family) -> None:
    for number, seed in enumerate(_some(family, 12)):
        mutated = seeds.mutate(random.Random(number), seed.design)
        assert mutated != seed.design
        assert torch.isfinite(train_one_step(seeds.render(mutated))).all(), mutated


def test_mutations_reach_every_decision() -> None:
    design = _some(Family.RESIDUAL, 1)[0].design
    mutated = [seeds.mutate(random.Random(number), design) for number in range(400)]
    changed = {name for each in mutated for name, value in asdict(each).items() if value != asdict(design)[name]}
    assert changed == {field.name for field in fields(design)} - {"layout"}


@pytest.mark.parametrize("family", Family)
def test_members_of_a_family_are_seldom_near_copies(family: Family) -> None:
    grams = [_grams(seed.code) for seed in _some(family, 30)]
    similarities = [len(a & b) / len(a | b) for a, b in itertools.combinations(grams, 2)]
    assert statistics.median(similarities) < 0.6
    assert sum(s >= 0.85 for s in similarities) / len(similarities) < 0.01


def _grams(code: str) -> set[tuple[str, ...]]:
    """7-grams over the tokens of __init__ and forward."""
    kept = (
        ast.unparse(node)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "forward")
    )
    words = [
        token.string for token in tokenize.generate_tokens(StringIO("\n".join(kept)).readline) if token.string.strip()
    ]
    return {tuple(words[i : i + 7]) for i in range(len(words) - 6)}
