"""What is remembered is cut to its tokens where the base model's tokenizer is here, and left as it is elsewhere."""

import pytest
from tokenizers import Tokenizer

from archloop import models, remembering
from archloop.contracts.values import Remembered
from services.generator import memory_tokens

MEMORY = [Remembered(outcome="ok", text=f"plain, {n} Conv2d, GELU, BatchNorm2d", accuracy=n / 10) for n in range(10)]


def tokens(memory) -> int:
    tokenizer = Tokenizer.from_file(f"{models.locate('tiny')}/tokenizer.json")
    return sum(len(tokenizer.encode(f"- {line}\n", add_special_tokens=False).ids) for line in remembering.lines(memory))


@pytest.mark.parametrize("most", [1, 20, 50, 100, 200, 256, 10_000])
def test_no_more_tokens_are_said_than_the_run_allows_and_no_fewer(most):
    kept = memory_tokens.fitting(MEMORY, most, "tiny")
    assert tokens(kept) <= most
    assert len(kept) == len(MEMORY) or tokens(MEMORY[: len(kept) + 1]) > most


@pytest.mark.parametrize("model", ["no/such-model", "somewhere-else", "/no/such/folder", "", "Qwen/Qwen2.5-Coder-7B"])
def test_a_model_that_is_elsewhere_has_its_memory_as_the_run_bounded_it(model):
    assert memory_tokens.fitting(MEMORY, 1, model) == MEMORY


def test_a_model_still_to_be_fetched_is_one_that_is_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "folder_of", lambda name: tmp_path / name)
    memory_tokens._tokenizer.cache_clear()
    assert memory_tokens.fitting(MEMORY, 1, "smollm2") == MEMORY
    memory_tokens._tokenizer.cache_clear()


def test_nothing_remembered_asks_for_no_tokenizer(monkeypatch):
    monkeypatch.setattr(memory_tokens, "_tokenizer", None)
    assert memory_tokens.fitting((), 1, "tiny") == ()
