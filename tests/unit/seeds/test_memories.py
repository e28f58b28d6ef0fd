"""Memories to learn from: accuracies at random, and designs that follow the best remembered network."""

import random
from dataclasses import replace
from functools import partial
from statistics import fmean

import pytest

from archloop import networks, remembering
from archloop.contracts.values import Family
from services.generator import prompts, seeds
from services.generator.model_build import corpus
from services.generator.seeds import memories
from services.generator.seeds.failures import failed


def _designs(seed: int, count: int) -> list[seeds.Design]:
    rng = random.Random(seed)
    return [seeds.draw(rng, rng.choice(list(Family)), prompts.draw_brief(rng)) for _ in range(count)]


def test_what_is_remembered_has_the_best_first_and_says_so_of_its_design() -> None:
    rng = random.Random(3)
    draw = partial(seeds.draw, rng, Family.PLAIN, prompts.draw_brief(rng))
    found = memories.remembered(rng, draw, 6)
    accuracies = [each.accuracy or 0.0 for each in found.lines]
    assert accuracies == sorted(accuracies, reverse=True)
    assert all(0.1 <= each <= 0.95 for each in accuracies)
    assert all(each.text.startswith("plain, ") for each in found.lines)
    assert found.best is not None
    assert networks.described(seeds.render(found.best), Family.PLAIN, memories.size(found.best)) == found.lines[0].text


def test_a_design_takes_norm_and_rates_of_the_best_and_no_rate_that_it_is_without() -> None:
    rng, best, *designs = random.Random(4), *_designs(0, 200)
    followed = [(design, memories.following(rng, design, best)) for design in designs]
    shares = [
        fmean(after.style.norm == best.style.norm for _, after in followed),
        fmean(after.training.rate == best.training.rate for _, after in followed),
    ]
    assert min(shares) > 0.85
    without = [after.training for before, after in followed if not before.training.clipping]
    assert len(without) > 10
    assert {training.clipping for training in without} == {0.0}
    kept = [replace(after, style=before.style, training=before.training) == before for before, after in followed]
    assert all(kept)


def test_the_nearest_has_most_in_common_with_the_best() -> None:
    best, other, *_ = _designs(2, 2)
    nearly = replace(best, training=replace(best.training, smoothing=0.05))
    assert memories.nearest([other, nearly, best], best) is best
    assert memories.nearest([other, nearly], best) is nearly


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
