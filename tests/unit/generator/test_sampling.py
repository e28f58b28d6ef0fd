import math

import numpy as np
import pytest

from services.generator.modelserver.sampling import Sampler, Sampling

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.04, 0.01], dtype=np.float32))


def drawn(sampling, number=4000):
    sampler = Sampler(sampling, seed=0)
    return [sampler.choose(LOGITS) for _ in range(number)]


def shares(sampling):
    tokens = [choice.token for choice in drawn(sampling)]
    return [tokens.count(token) / len(tokens) for token in range(5)]


def test_greedy_takes_the_most_probable_and_its_logprob():
    token, logprob = Sampler(Sampling(), seed=3).choose(LOGITS)
    assert token == 0
    assert logprob == pytest.approx(math.log(0.5), abs=1e-6)


@pytest.mark.parametrize("parameters", [{"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.9}, {"do_sample": True}])
def test_any_parameter_counts_as_sampling(parameters):
    assert not Sampling(**parameters).greedy


def test_shares_follow_the_distribution():
    assert shares(Sampling(do_sample=True)) == pytest.approx([0.5, 0.3, 0.15, 0.04, 0.01], abs=0.03)


def test_temperature_sharpens():
    cold = np.array([0.5, 0.3, 0.15, 0.04, 0.01]) ** 2
    assert shares(Sampling(temperature=0.5)) == pytest.approx(list(cold / cold.sum()), abs=0.03)


def test_top_k_keeps_the_k_most_probable():
    assert shares(Sampling(top_k=2)) == pytest.approx([0.625, 0.375, 0, 0, 0], abs=0.03)


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, {0}), (0.6, {0, 1}), (0.85, {0, 1, 2}), (0.97, {0, 1, 2, 3})])
def test_top_p_keeps_the_fewest_that_reach_the_mass(top_p, kept):
    assert {choice.token for choice in drawn(Sampling(top_p=top_p))} == kept


def test_logprob_is_that_of_the_distribution_drawn_from():
    logprobs = {choice.token: choice.logprob for choice in drawn(Sampling(top_k=2))}
    assert logprobs == pytest.approx({0: math.log(0.625), 1: math.log(0.375)}, abs=1e-6)


def test_a_seed_is_a_stream_of_choices():
    assert drawn(Sampling(temperature=0.9), 50) == drawn(Sampling(temperature=0.9), 50)
    other = Sampler(Sampling(temperature=0.9), seed=1)
    assert [other.choose(LOGITS) for _ in range(50)] != drawn(Sampling(temperature=0.9), 50)


def test_a_token_without_probability_is_never_drawn():
    sampler = Sampler(Sampling(do_sample=True), seed=0)
    logits = np.array([0.0, -np.inf, 0.0, -np.inf], dtype=np.float32)
    assert {sampler.choose(logits).token for _ in range(200)} == {0, 2}
