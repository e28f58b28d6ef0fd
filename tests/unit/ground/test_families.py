"""One list of structural families: whoever writes, recognises or draws them knows exactly its members."""

import json
from pathlib import Path

import pytest

from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.values import Family
from services.generator import prompts
from services.generator.seeds.families import BODIES, HELPERS
from services.novelty.families import PRECEDENCE
from services.registry.statistics import figures

SAMPLE = Path(__file__).parents[2] / "contract/golden/candidate.judged.v1.json"
KNOWN = {
    "prompts": tuple(prompts.DESCRIPTIONS),
    "bodies": tuple(BODIES),
    "helpers": tuple(HELPERS),
    "novelty": PRECEDENCE,
    "report": figures.FAMILIES.parts,
}
# What each draw of a prompt, and so every recorded figure, depends on.
ROTATION = "plain residual dense inception depthwise squeeze_excite attention gated"


def judged(family: object) -> Envelope:
    body = json.loads(SAMPLE.read_bytes())
    body["data"]["family"] = family
    return Envelope.parse(json.dumps(body).encode())


@pytest.mark.parametrize("place", KNOWN)
def test_each_place_knows_every_family_once_and_no_other(place: str) -> None:
    assert sorted(KNOWN[place]) == sorted(Family)
    assert all(isinstance(name, Family) for name in KNOWN[place])


def test_prompts_ask_for_families_in_this_order() -> None:
    assert " ".join(Family) == ROTATION


@pytest.mark.parametrize("family", Family)
def test_a_family_is_its_plain_word_on_the_wire(family: Family) -> None:
    message = judged(family.value).message()
    assert message.family is family
    assert json.loads(Envelope.of(message, source="/t").encode())["data"]["family"] == family.value


@pytest.mark.parametrize("family", ["vgg", "Plain", "plain ", "squeeze-excite", "", "none", None, 3, ["plain"]])
def test_a_message_with_another_family_is_malformed(family: object) -> None:
    with pytest.raises(MalformedMessage, match=r"candidate\.judged.*family"):
        judged(family).message()
