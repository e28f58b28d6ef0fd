"""The seed program's networks: of their family, sound unless defective, varied, the same for the same stream."""

import ast
import itertools
import random
import statistics
import tokenize
from io import StringIO

import pytest
import torch

from archloop.contracts.values import Family
from services.generator import seeds
from services.generator.seeds import injected_defects
from services.generator.seeds.injected_defects import DEFECTS
from services.generator.seeds.weak_choices import WeakChoice
from tests.unit.seeds.marks import CLASSES, PRM, declared, marks, parameters, train_one_step

SOUND = seeds.Mix(sloppy=0, defective=0)
SLOPPY = seeds.Mix(sloppy=1, defective=0)
# What Python or torch says of each defect, wherever in the file it was put.
ERRORS: dict[str, tuple[type[Exception], ...]] = {
    "missing import": (NameError,),
    "wrong super call": (AttributeError,),
    "keyword typo": (TypeError,),
    "unknown layer": (AttributeError,),
    "wrong input channels": (RuntimeError, TypeError),
    "wrong output features": (TypeError, NameError, IndexError),
    "wrong channel count": (RuntimeError, ValueError),
    "missing flatten": (RuntimeError,),
    "bad reshape": (RuntimeError, TypeError),
    "undefined attribute": (AttributeError,),
    "undefined name": (NameError,),
    "missing method": (AttributeError, NotImplementedError),
    "missing return": (TypeError,),
    "wrong signature": (TypeError,),
    "undeclared hyperparameter": (KeyError,),
    "criterion misnamed": (AttributeError,),
    "unclosed bracket": (SyntaxError,),
    "missing colon": (SyntaxError,),
}


def _some(family: Family, count: int, mix: seeds.Mix) -> list[seeds.Seed]:
    return [seeds.write(random.Random(f"{family} {i}"), family, mix=mix) for i in range(count)]


@pytest.mark.parametrize("family", Family)
def test_flawless_networks_bear_the_mark_of_their_family_alone(family: Family) -> None:
    for seed in _some(family, 60, SLOPPY):
        assert marks(seed.code) == {family}, seed.code


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("mix", [SOUND, SLOPPY], ids=["good", "sloppy"])
def test_flawless_networks_train(family: Family, mix: seeds.Mix) -> None:
    for seed in _some(family, 6, mix):
        logits = train_one_step(seed.code)
        assert logits.shape == (5, CLASSES), seed.code
        assert torch.isfinite(logits).all(), seed.code


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("mix", [SOUND, SLOPPY], ids=["good", "sloppy"])
def test_what_is_declared_is_used_and_known(family: Family, mix: seeds.Mix) -> None:
    for seed in _some(family, 12, mix):
        assert declared(seed.code), seed.code
        assert declared(seed.code) <= PRM.keys()
        assert all(f"prm['{key}']" in seed.code for key in declared(seed.code)), seed.code


def test_every_defect_has_its_errors() -> None:
    assert ERRORS.keys() == DEFECTS.keys()


@pytest.mark.parametrize("family", Family)
def test_budgets_are_kept(family: Family) -> None:
    for seed in _some(family, 12, SOUND):
        assert parameters(seed.code) <= seed.brief.budget, seed.code


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_flaw_keeps_a_network_from_training(defect: str) -> None:
    sound = [seed.code for family in Family for seed in _some(family, 2, SOUND)]
    fitting = [code for code in sound if defect in injected_defects.fitting(code)]
    assert fitting
    for code in fitting:
        defective = injected_defects.put(defect, code, random.Random(code))
        with pytest.raises(ERRORS[defect]):
            train_one_step(defective)


def test_flaws_are_recorded_and_as_frequent_as_asked() -> None:
    mixed = [seeds.write(random.Random(i), "dense", mix=seeds.Mix(defective=0.3)) for i in range(1000)]
    assert 0.25 < sum(bool(seed.defects) for seed in mixed) / 1000 < 0.35
    assert {defect for seed in mixed for defect in seed.defects} <= DEFECTS.keys()


def test_without_lapses_every_author_normalises_and_with_them_some_do_not() -> None:
    assert all("Norm2d(" in seed.code or "GroupNorm(" in seed.code for seed in _some("plain", 30, SOUND))
    sloppy = _some("plain", 100, SLOPPY)
    without = [seed for seed in sloppy if "Norm" not in seed.code]
    assert without
    assert all(WeakChoice.NO_NORM in seed.weak_choices for seed in without)


def test_the_same_stream_gives_the_same_network() -> None:
    assert _some("gated", 5, SLOPPY) == _some("gated", 5, SLOPPY)


def test_wishes_are_obeyed_where_taste_allows() -> None:
    for seed in _some("inception", 30, SOUND):
        assert f"nn.{seed.brief.activation}(" in seed.code
        assert ("self.stage2 = Branches(" in seed.code) == (seed.brief.layout == "one attribute for each stage")
        assert ("AdaptiveMaxPool2d(1)" in seed.code) == (seed.brief.head == "global max pooling")
        assert ("label_smoothing" in seed.code) == ("label smoothing" in seed.brief.tricks)


@pytest.mark.parametrize("family", Family)
def test_members_of_a_family_are_seldom_near_copies(family: Family) -> None:
    grams = [_grams(seed.code) for seed in _some(family, 30, SLOPPY)]
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
