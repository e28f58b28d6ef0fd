"""What an edit prompt shows can be read back: which network a pair of it teaches."""

import random
import re

import pytest

from archloop import answers, protocols
from archloop.answers import edits
from archloop.answers.briefs import truthful
from services.generator import prompts

CODE = "import torch\n\n\nclass Net(torch.nn.Module):\n    width = 8\n"


def asked(code: str, index: int = 0) -> str:
    original = prompts.Original(edits.prepared(code), 0.5)
    protocol = protocols.load("shapes")
    return prompts.render_edit("brief", protocol=protocol, rng=random.Random(1), index=index, original=original).text


@pytest.mark.parametrize(
    "parent",
    [
        CODE,
        CODE.replace("\n", "\r\n"),
        f'"""\n```python\nclass Net: ...\n```\n"""\n{CODE}',
        f"#{'`' * 9}\n{CODE}",
        f"# Answer with search/replace blocks and nothing else.\n{CODE}",
        f"# At most 7 parameters. Its accuracy is 1.000:\n{CODE}",
    ],
)
def test_a_pair_of_an_edit_teaches_the_network_that_it_makes(parent: str) -> None:
    child = edits.prepared(parent).replace("width = 8", "width = 16")
    assert edits.taught(asked(parent), edits.render(parent, child)) == child


def test_a_pair_of_a_whole_network_teaches_that() -> None:
    assert edits.taught("Write one.", answers.render(CODE)) == CODE


def test_an_edit_without_its_parent_teaches_nothing() -> None:
    assert edits.taught("Edit it.", edits.render(CODE, CODE.replace("8", "16"))) == ""


@pytest.mark.parametrize("focus", prompts.FOCUSES)
def test_the_block_alone_is_told_what_it_is_to_become(focus: str) -> None:
    protocol, family = protocols.load("shapes"), prompts.Family.GATED
    brief = prompts.draw_brief(random.Random(0))
    original = prompts.Original(CODE, 0.5)
    text = prompts.ask_edit(protocol=protocol, family=family, brief=brief, focus=focus, original=original).text
    assert f"Change {focus}" in text
    assert (prompts.DESCRIPTIONS[family] in text) is (focus == "the block")


@pytest.mark.parametrize("code", [CODE, f"# At most 7 parameters.\n{CODE}", f"# Parameters: at most 9,000.\n{CODE}"])
@pytest.mark.parametrize("parameters", [300_001, 1_000_000, 77_000_000])
def test_the_budget_is_the_prompt_s_own_and_stays_true(code: str, parameters: int) -> None:
    prompt = asked(code)
    told = truthful(prompt, parameters)
    budget, corrected = (int(re.search(r"At most ([\d,]+)", text)[1].replace(",", "")) for text in (prompt, told))
    assert budget <= 300_000 < parameters <= corrected
    assert told == prompt.replace(f"At most {budget:,} parameters. Change", f"At most {corrected:,} parameters. Change")
