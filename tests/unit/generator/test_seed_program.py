"""The seed program as a backend: draws where a whole network is asked for, mutates the parent that a prompt shows."""

import asyncio
import random

import pytest
from pydantic import ValidationError

from archloop import answers, protocols
from archloop.answers import edits
from archloop.contracts.spec import SEED_PROGRAM, RunSpec
from archloop.contracts.values import Family
from archloop.errors import InvalidInput
from services.generator import prompts, seeds
from services.generator.backends.port import Decoding
from services.generator.backends.seed_program import SeedProgram, write
from tests.unit.seeds.marks import marks, train_one_step

SHAPES = protocols.load("shapes")


def _answer(prompt: str, seed: int) -> str:
    return asyncio.run(SeedProgram().generate(prompt, Decoding(512), seed, None)).text


def _edited(code: str, seed: int) -> str:
    original = prompts.Original(edits.prepared(code), 0.5)
    rng = random.Random(seed)
    prompt = prompts.render_edit("brief", protocol=SHAPES, rng=rng, index=seed, original=original)
    return edits.apply(code, _answer(prompt.text, seed)).code


@pytest.mark.parametrize("template", ["brief", "short", "paper"])
@pytest.mark.parametrize("index", range(8))
def test_a_whole_network_is_drawn_of_the_family_that_is_asked_for(template: str, index: int) -> None:
    prompt = prompts.render(template, protocol=SHAPES, rng=random.Random(index), index=index)
    code = answers.extract(_answer(prompt.text, 7)).code
    assert train_one_step(code).shape[0] == 5
    assert template == "paper" or marks(code.partition("\n")[2]) == {prompt.family}


def test_the_same_seed_answers_alike_and_another_otherwise() -> None:
    prompt = prompts.render("brief", protocol=SHAPES, rng=random.Random(1), index=1).text
    assert _answer(prompt, 3) == _answer(prompt, 3) != _answer(prompt, 4)


def test_a_line_of_mutations_goes_on_and_every_one_trains() -> None:
    code = write(seeds.draw(random.Random(0), Family.RESIDUAL, prompts.draw_brief(random.Random(0))))
    seen = {code}
    for seed in range(24):
        code = _edited(code, seed)
        assert code not in seen
        seen.add(code)
        if seed % 6 == 0:
            train_one_step(code)
    assert len(seen) == 25


@pytest.mark.parametrize(
    "line",
    [
        "# design {}",
        '# design {"family": "plain"}',
        "# design {" + "[" * 500 + "}",
        "# design {\u2028}",
        "import torch",
    ],
)
def test_a_network_that_is_not_its_own_gets_no_edit_that_applies(line: str) -> None:
    assert _edited(f"{line}\nimport torch.nn as nn\n", 1) == ""


@pytest.mark.parametrize(
    "changes", [{"frozen": False}, {"bootstrap": {}}, {"adapter": {"adapter": "a", "base_model": SEED_PROGRAM}}]
)
def test_a_run_of_it_learns_nothing(changes: dict[str, object]) -> None:
    asked = {"cycles": 1, "candidates": 1, "protocol": "shapes", "base_model": SEED_PROGRAM, "frozen": True}
    assert RunSpec.model_validate(asked).frozen
    with pytest.raises(ValidationError, match=r"learns nothing|adapter"):
        RunSpec.model_validate(asked | changes)


def test_it_takes_no_adapter(tmp_path: object) -> None:
    backend = SeedProgram()
    assert asyncio.run(backend.adapters()) == frozenset()
    with pytest.raises(InvalidInput, match="learns nothing"):
        asyncio.run(backend.load("a1", tmp_path))  # type: ignore[arg-type]
