"""Tastes: random preferences, consistent in themselves, of which a memory tells and an answer takes the best."""

import random
from functools import partial
from statistics import fmean

import pytest

from archloop import remembering
from archloop.contracts.values import Family
from services.generator import prompts, seeds
from services.generator.model_build import corpus
from services.generator.seeds.failures import failed
from services.generator.seeds.taste import Taste, remembered


def _designs(seed: int, count: int) -> list[seeds.Design]:
    rng = random.Random(seed)
    return [seeds.draw(rng, rng.choice(list(Family)), prompts.draw_brief(rng)) for _ in range(count)]


def test_a_taste_likes_what_it_liked_and_another_likes_otherwise() -> None:
    designs = _designs(0, 40)
    orders = []
    for seed in (1, 1, 2):
        taste = Taste(random.Random(seed))
        orders.append(sorted(range(40), key=[taste.likes(each) for each in designs].__getitem__))
    assert orders[0] == orders[1] != orders[2]


def test_no_design_is_favoured_over_all_tastes() -> None:
    designs = _designs(1, 6)
    likes = [[Taste(random.Random(seed)).likes(each) for seed in range(400)] for each in designs]
    assert max(abs(fmean(each)) for each in likes) < 0.3


def test_what_is_remembered_is_scored_by_the_taste_the_best_first() -> None:
    rng = random.Random(3)
    draw = partial(seeds.draw, rng, Family.PLAIN, prompts.draw_brief(rng))
    found = remembered(rng, Taste(rng), draw, 6)
    accuracies = [each.accuracy or 0.0 for each in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert all(0.1 <= each <= 0.95 for each in accuracies)
    assert all(each.text.startswith("plain, ") for each in found)


def test_the_corpus_has_edits_and_memories_in_the_shares_that_are_asked_for() -> None:
    kinds = corpus.Kinds(edits=0.5, memory=0.5)
    examples = corpus.write(0, 200, kinds=kinds, among=["shapes"])
    with_memory = [each for each in examples if each.memory]
    assert 60 < len(with_memory) < 140
    assert 60 < sum(each.pair.completion.startswith("<<<<<<< SEARCH") for each in examples) < 140
    assert all(("Seen in earlier answers" in each.pair.prompt) == bool(each.memory) for each in examples)
    assert all("- accuracy" not in each.words for each in examples)


@pytest.mark.parametrize("count", [0, 1, 3, 10, 50])
def test_failures_are_of_different_kinds_the_most_frequent_first_and_read_like_a_runs(count: int) -> None:
    found = failed(random.Random(count), count)
    assert len(found) == min(count, 10)
    assert [each.count for each in found] == sorted((each.count for each in found), reverse=True)
    assert len({(each.outcome, each.text) for each in found}) == len(found)
    assert all(remembering.line(each).startswith("failed ") and "{" not in each.text for each in found)


def test_some_memories_tell_of_failures_and_the_prompt_has_their_lines() -> None:
    examples = corpus.write(1, 80, kinds=corpus.Kinds(memory=1.0), among=["shapes"])
    telling = [each for each in examples if any(line.accuracy is None for line in each.memory)]
    assert 20 < len(telling) < 60
    for each in examples:
        assert all(f"- {remembering.line(line)}\n" in each.pair.prompt for line in each.memory)
        assert not any(remembering.line(line) in each.words for line in each.memory)
