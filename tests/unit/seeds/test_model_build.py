"""The tiny model: its build is reproducible and loadable, its tokenizer keeps the text, the shipped one answers."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from archloop import answers, models, protocols, training_pairs
from archloop.answers import edits, patches
from archloop.contracts.values import Family
from archloop.errors import InvalidInput
from archloop_cli.commands import app
from services.generator import prompts
from services.generator.model_build import corpus, tokenizer, training
from services.generator.model_build.build import build
from services.generator.model_build.card import BuildReport, Round
from services.generator.model_build.training import Lesson

MEGABYTE = 1_000_000
LESSONS = (Lesson(2, 4, 1), Lesson(4, 8, 1))
SMALL = (Round(24, 2, corpus.Kinds(0.5, 0.5)), Round(8, 1, corpus.Kinds(1.0, 0.0, 3)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildReport]:
    out = tmp_path_factory.mktemp("tiny")
    return out, build(out, seed=3, rounds=SMALL, lessons=LESSONS, measure=lambda _: {0.9: 0.25})


def _weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _prompt(index: int) -> str:
    protocol = protocols.load("shapes")
    return prompts.render("brief", protocol=protocol, rng=random.Random(index), index=index).text


def test_the_same_seed_builds_the_same_weights(built: tuple[Path, BuildReport], tmp_path: Path) -> None:
    again = build(tmp_path, seed=3, rounds=SMALL, lessons=LESSONS)
    assert again.loss == built[1].loss
    assert _weights(tmp_path) == _weights(built[0])


def test_the_card_tells_how_it_was_built_and_what_was_measured(
    built: tuple[Path, BuildReport],
) -> None:
    card = (built[0] / "README.md").read_text()
    for part in (
        "--seed 3",
        "in 2 steps on random tokens",
        "| 24 | 2 | 50 % | 1 | 50 % |",
        "| 8 | 1 | 100 % | 3 | 0 % |",
        "license: apache-2.0",
        "| 0.9 | 0.25 |",
    ):
        assert part in card


def test_progress_is_told_to_the_last_step(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build(tmp_path, rounds=SMALL, lessons=LESSONS, progress=lambda *step: told.append(step))
    assert told == [("training", 1, 1), ("training", 1, 1), ("training", 1, 2), ("training", 2, 2), ("training", 1, 1)]


@pytest.mark.parametrize(("steps", "answers", "field"), [(0, 24, "steps"), (1, 7, "answers")])
def test_a_build_of_nothing_is_refused(tmp_path: Path, steps: int, answers: int, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        build(tmp_path, rounds=[*SMALL, Round(answers, steps, corpus.PLAIN)])


def test_tokens_give_back_the_text_and_prompt_and_answer_never_share_one() -> None:
    examples = corpus.write(5, 64)
    texts = [e.pair.prompt for e in examples], [e.pair.completion for e in examples]
    words = tokenizer.train(*texts, 600)
    assert examples
    for (before, after), prompt, completion in zip(tokenizer.encode(words, *texts), *texts, strict=True):
        assert words.decode(before, skip_special_tokens=True) == prompt
        assert words.decode(after, skip_special_tokens=True) == completion
        assert [before[0], after[-1]] == [words.bos_token_id, words.eos_token_id]
        assert words(prompt + completion, add_special_tokens=False).input_ids == before[1:] + after[:-1]


@pytest.mark.parametrize("changes", [1, 3, 6])
def test_an_edit_makes_its_changes(changes: int) -> None:
    examples = corpus.write(6, 40, kinds=corpus.Kinds(edits=1.0, changes=changes), among=["shapes"])
    blocks = [each.pair.completion.count(patches.SEARCH) for each in examples]
    assert (sum(blocks) / 40 > 3) == (changes > 2)
    assert all(edits.taught(each.pair.prompt, each.pair.completion) == each.seed.code for each in examples)


@pytest.mark.parametrize(("edits_share", "memory_share"), [(0, 0), (1, 0), (0, 1), (0.5, 0.5)])
def test_the_command_writes_pairs_of_the_kinds_that_it_is_told(
    tmp_path, edits_share: float, memory_share: float
) -> None:
    out = tmp_path / "pairs.jsonl"
    shares = ["--edits", str(edits_share), "--memory", str(memory_share)]
    result = CliRunner().invoke(app, ["model", "pairs", str(out), "--count", "16", "--protocol", "digits", *shares])
    assert result.exit_code == 0, result.output
    pairs = training_pairs.read(out)
    editing = [pair.completion.startswith(patches.SEARCH) for pair in pairs]
    remembering = ["Seen in earlier answers" in pair.prompt for pair in pairs]
    for found, share in ((editing, edits_share), (remembering, memory_share)):
        assert sum(found) == 16 * share if share in {0, 1} else 2 < sum(found) < 14


def test_the_corpus_rotates_families_and_asks_as_a_run_asks() -> None:
    examples = corpus.write(1, 16)
    assert [e.seed.family for e in examples] == [*Family] * 2
    assert all(f"Family: {e.seed.family}" in e.pair.prompt for e in examples)


@pytest.fixture(scope="module")
def shipped() -> tuple[Any, Any]:
    where = models.locate("tiny")
    return AutoModelForCausalLM.from_pretrained(where), AutoTokenizer.from_pretrained(where)


def _answer(shipped: tuple[Any, Any], prompt: str) -> str:
    """Return what the model says, at most 400 tokens."""
    model, words = shipped
    ids = torch.tensor([[words.bos_token_id, *words(prompt, add_special_tokens=False).input_ids]])
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=400)
    said: str = words.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
    return said


def test_the_shipped_model_is_small_and_complete() -> None:
    files = {path.name: path.stat().st_size for path in Path(models.locate("tiny")).iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= files.keys()
    assert sum(files.values()) < 10 * MEGABYTE


def test_the_shipped_model_answers_in_one_closed_code_block_and_stops(shipped: tuple[Any, Any]) -> None:
    for index in range(4):
        answer = answers.extract(_answer(shipped, _prompt(index)))
        assert not answer.problem
        assert "class Net(nn.Module)" in answer.code


def test_the_shipped_model_writes_edits_and_some_of_them_apply(shipped: tuple[Any, Any]) -> None:
    """To copy lines exactly is the hardest for so small a model."""
    examples = corpus.write(404, 12, kinds=corpus.Kinds(edits=1.0), among=["shapes"])
    said = [_answer(shipped, each.pair.prompt) for each in examples]
    read = [patches.read(each) for each in said]
    assert sum(not patch.problem and len(patch.changes) > 0 for patch in read) >= 8
    made = [edits.taught(each.pair.prompt, answer) for each, answer in zip(examples, said, strict=True)]
    assert sum(map(bool, made)) >= 4


def test_the_shipped_model_repeats_tokens_that_it_never_saw_in_this_order(shipped: tuple[Any, Any]) -> None:
    model, words = shipped
    repeats = training.repeats(len(words), training.Lesson(24, 40, 2), seed=9)
    assert len(repeats) == 2 * training.BATCH
    told = []
    for prompt, completion in repeats:
        following = model(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) : -1].argmax(-1)
        told += [int(one) == other for one, other in zip(following, completion[1:], strict=True)]
    assert sum(told) > 0.9 * len(told)


def test_a_line_is_the_same_tokens_in_an_edit_as_in_the_network(shipped: tuple[Any, Any]) -> None:
    words = shipped[1]
    example = corpus.write(404, 1, kinds=corpus.Kinds(edits=1.0), among=["shapes"])[0]
    shown = words(example.pair.prompt, add_special_tokens=False).input_ids
    lines = [block.splitlines(keepends=True)[1] for block in example.pair.completion.split(patches.SEARCH)[1:]]
    copied = [words(line, add_special_tokens=False).input_ids for line in lines]
    assert copied
    for line in copied:
        assert any(shown[at : at + len(line)] == line for at in range(len(shown))), words.decode(line)


def test_the_shipped_tokenizer_knows_the_phrases_of_the_prompt(shipped: tuple[Any, Any]) -> None:
    """A changed template would be read letter by letter: then the model has to be built anew."""
    assert all(len(shipped[1](_prompt(i), add_special_tokens=False).input_ids) < 80 for i in range(8))


def test_lora_attaches_to_all_linear_layers(shipped: tuple[Any, Any]) -> None:
    tuned = get_peft_model(shipped[0], LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert sum(p.numel() for p in tuned.parameters() if p.requires_grad) > 0
