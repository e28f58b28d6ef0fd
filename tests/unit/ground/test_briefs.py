import random

import pytest

from archloop import protocols, templates
from archloop.answers.briefs import truthful
from archloop.contracts.values import Remembered
from services.generator import prompts


@pytest.mark.parametrize("template", templates.names())
def test_every_template_s_budget_is_found_and_corrected_where_the_network_broke_it(template):
    prompt = prompts.render(template, protocol=protocols.load("shapes"), rng=random.Random(3), index=0)
    asked = f"{prompt.brief.budget:,}"
    assert prompt.text.count(asked) == 1
    assert truthful(prompt.text, prompt.brief.budget) == prompt.text
    assert truthful(prompt.text, 1_200_001) == prompt.text.replace(asked, "3,000,000")


@pytest.mark.parametrize("template", templates.names())
@pytest.mark.parametrize("accuracy", [None, 0.5])
def test_a_budget_that_an_earlier_error_speaks_of_is_not_the_prompt_s(template, accuracy):
    said = "Parameters: at most 7. At most 7 parameters. Give"
    memory = [Remembered(outcome="build_error", text=said, accuracy=accuracy)]
    asked = {"protocol": protocols.load("shapes"), "rng": random.Random(3), "index": 0, "memory": memory}
    prompt = prompts.render(template, **asked)
    told = truthful(prompt.text, 1_200_001)
    assert told == prompt.text.replace(f"{prompt.brief.budget:,}", "3,000,000")
    assert said in told


@pytest.mark.parametrize(("parameters", "told"), [(30_001, "100,000"), (100_000, "100,000"), (999_999, "1,000,000")])
def test_the_new_budget_is_the_next_round_number(parameters, told):
    assert truthful("Stages: 2. At most 30,000 parameters.", parameters) == f"Stages: 2. At most {told} parameters."


def test_a_prompt_without_a_budget_and_a_network_without_a_measure_stay_as_they_are():
    assert truthful("Write a network, at most 3 stages.", 10**9) == "Write a network, at most 3 stages."
    assert truthful("At most 30,000 parameters.", None) == "At most 30,000 parameters."
