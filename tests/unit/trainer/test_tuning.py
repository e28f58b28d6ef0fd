import json
import math
import random
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from archloop.adapters import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE
from archloop.contracts.values import sha256_of
from archloop.errors import InvalidInput, Unavailable
from archloop.training_pairs import TrainingPair
from services.trainer import lean, probe, tuning
from services.trainer.job import Job, Progress, TrainingRefused
from services.trainer.pairs import IGNORED, Example, encode, prompt_ids
from services.trainer.plan import CPU


@pytest.fixture
def tune(tmp_path, base_model, pairs, spec):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs))

    def run(name="adapter", parent=None, seed=7, **training):
        job = Job(
            base_model=base_model,
            pairs=path,
            parent=parent,
            out=tmp_path / name,
            training=spec.model_copy(update=training),
            seed=seed,
        )
        return tuning.tune(job, tuning.load(base_model), lambda _: None), job.out

    return run


@pytest.mark.parametrize("engine", ["lean", "trl"])
def test_the_loss_falls_and_the_adapter_loads_in_peft(tune, base, engine):
    tuned, folder = tune(engine=engine)
    assert tuned.loss_curve[-1] < 0.8 * tuned.loss_curve[0]
    assert "peft" in tuned.libraries
    model = PeftModel.from_pretrained(base.model, str(folder))
    assert set(tuned.lora.target_modules) == model.peft_config["default"].target_modules
    assert sum(t.abs().sum() for name, t in load_file(folder / WEIGHTS_FILE).items() if "lora_B" in name) > 0


def test_gradient_checkpointing_and_accumulation_change_memory_not_the_training(tune):
    plain = tune("plain", engine="trl")[0]
    spare = tune("spare", engine="trl", gradient_checkpointing=True, batch_size=2, accumulation=2)[0]
    assert spare.loss_curve == pytest.approx(plain.loss_curve, rel=1e-2)
    assert (spare.steps, spare.token_curve) == (plain.steps, plain.token_curve)


def test_lean_and_trl_start_from_the_same_loss(tune):
    first = [tune(engine, engine=engine, batch_size=100)[0].loss_curve[0] for engine in ("lean", "trl")]
    assert first[0] == pytest.approx(first[1], rel=1e-3)


def test_a_server_that_loads_the_files_answers_as_the_probe_says(tune, base):
    tuned, folder = tune()
    served = PeftModel.from_pretrained(base.model, str(folder)).merge_and_unload()
    ids = [base.tokenizer.bos_token_id, *base.tokenizer(tuned.probe.prompt)["input_ids"]]
    answer = probe.greedy(served.eval(), ids, frozenset({2}), tuned.probe.max_new_tokens)
    assert base.tokenizer.decode([choice.token for choice in answer], skip_special_tokens=True) == tuned.probe.text
    assert sum(choice.logprob for choice in answer) == pytest.approx(tuned.probe.logprob, abs=tuned.probe.tolerance)


def test_the_base_model_does_not_answer_as_the_probe_says(tune, base):
    expected = tune()[0].probe
    ids = [base.tokenizer.bos_token_id, *base.tokenizer(expected.prompt)["input_ids"]]
    answer = probe.greedy(base.model.eval(), ids, frozenset({2}), expected.max_new_tokens)
    assert base.tokenizer.decode([choice.token for choice in answer], skip_special_tokens=True) == expected.base_text
    assert expected.base_text != expected.text or abs(expected.logprob - expected.base_logprob) > expected.tolerance


def test_the_probe_does_not_heed_the_generation_config(tune, base_model, tmp_path, monkeypatch):
    expected = tune()[0].probe
    loaded = tuning.load

    def load(name):
        base = loaded(name)
        base.model.generation_config.repetition_penalty = 5.0
        base.model.generation_config.do_sample = True
        return base

    monkeypatch.setattr(tuning, "load", load)
    assert tune("again")[0].probe == expected


class TwoFaced:
    """A model whose adapter shows after one prompt only."""

    device = "cpu"
    generation_config = SimpleNamespace(eos_token_id=2)

    def __init__(self, telling: list[int]):
        self._telling, self._adapted = telling, True

    def eval(self):
        return self

    def merge_and_unload(self):
        return self

    @contextmanager
    def disable_adapter(self):
        self._adapted = False
        yield
        self._adapted = True

    def __call__(self, input_ids, past_key_values, use_cache):
        prompt = past_key_values or input_ids[0].tolist()
        logits = torch.zeros(1, 1, 16)
        logits[..., 6 if self._adapted and prompt == self._telling else 5] = 9.0
        return SimpleNamespace(logits=logits, past_key_values=prompt)


def test_a_prompt_that_does_not_tell_adapter_and_base_apart_is_passed_over(base):
    model = TwoFaced(prompt_ids("second", base.tokenizer))
    asked = [TrainingPair(prompt=prompt, completion="a network") for prompt in ("first", "first", "first", "second")]
    taken = probe.take(model, base.tokenizer, probe.questions(asked))
    assert taken.prompt == "second"
    assert taken.text != taken.base_text


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ("a", ["a", "a12"]),
        ("aa", ["a", "a12", "a12"]),
        ("ab", ["a", "b", "a12", "b12"]),
        ("aaaaaab", ["a", "b", *["a12"] * 4]),
        ("abcde", [*"abcd", "a12", "b12", "c12", "d12"]),
    ],
)
def test_the_probe_asks_for_the_rest_of_an_answer_where_no_prompt_tells(prompts, expected, base):
    asked = list(probe.questions([TrainingPair(prompt=prompt, completion="1234") for prompt in prompts]))
    assert asked == expected
    model = TwoFaced(prompt_ids(asked[-1], base.tokenizer))
    assert probe.take(model, base.tokenizer, asked).prompt == expected[-1]


def test_decoding_stops_at_an_end_of_sequence_and_counts_it(base):
    model, ids = base.model.eval(), [1, 5, 6]
    free = probe.greedy(model, ids, frozenset(), 8)
    end = free[2].token
    stopped = probe.greedy(model, ids, frozenset({end}), 8)
    assert stopped == free[: [choice.token for choice in free].index(end) + 1]


def _choices(*given):
    return [probe.Choice(token, logprob, lead) for token, logprob, lead in given]


def test_the_fingerprint_ends_before_an_end_of_sequence_and_before_a_near_tie(base):
    sure, tie, end = (20, -0.1, 3.0), (21, -0.7, 0.04), (2, -0.2, 2.0)
    for last in (tie, end):
        taken = probe._probe(
            "p", base.tokenizer, _choices(sure, sure, last, sure), _choices((22, -0.3, 1.0), end), frozenset({2}), CPU
        )
        assert (taken.max_new_tokens, taken.logprob) == (2, pytest.approx(-0.2))
        assert taken.text == base.tokenizer.decode([20, 20])
        assert (taken.base_text, taken.base_logprob) == (base.tokenizer.decode([22]), pytest.approx(-0.3))


def test_every_end_of_sequence_that_a_server_knows_ends_the_probe(base):
    base.model.generation_config.eos_token_id = [2, 7]
    assert probe.end_ids(base.model, base.tokenizer) == {2, 7}


def test_an_adapter_that_learnt_nothing_is_refused(tune):
    with pytest.raises(TrainingRefused, match="learning_rate"):
        tune(learning_rate=1e-12, epochs=1)


def test_the_same_job_leaves_the_same_bytes_and_another_seed_does_not(tune):
    hashes = [
        [sha256_of((folder / file).read_bytes()) for file in ADAPTER_FILES]
        for _, folder in (tune("one"), tune("two"), tune("three", seed=8))
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0][1] != hashes[2][1]


def test_continuing_from_the_parent_starts_where_it_ended_and_goes_lower(tune):
    first, parent = tune("first")
    second, _ = tune("second", parent=parent)
    assert second.loss_curve[0] < 0.9 * first.loss_curve[0]
    assert second.loss_curve[-1] < first.loss_curve[-1]


@pytest.mark.parametrize(("field", "value"), [("r", 16), ("alpha", 32)])
def test_a_parent_of_another_shape_is_refused(tune, field, value):
    _, parent = tune("first")
    with pytest.raises(TrainingRefused, match=rf"training\.{field}: {value} cannot continue the parent"):
        tune("second", parent=parent, **{field: value})


def test_the_config_names_the_base_model_and_no_path_of_this_machine(tmp_path, base, spec):
    from services.trainer import lora

    lora.save(lora.attach(base.model, spec, None), tmp_path / "out", "tiny")
    assert json.loads((tmp_path / "out" / CONFIG_FILE).read_text())["base_model_name_or_path"] == "tiny"


def test_a_base_model_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"base model .*nowhere"):
        tuning.load(str(tmp_path / "nowhere"))


def test_pairs_that_are_all_too_long_are_refused(tune):
    with pytest.raises(InvalidInput, match=r"training\.max_length"):
        tune(max_length=8)


def test_batches_hold_every_example_once_in_groups_of_similar_length():
    examples = [Example([1] * length, [1] * length) for length in range(1, 11)]
    groups = lean.batches(examples, 4, random.Random(0))
    lengths = sorted(sorted(len(e.input_ids) for e in group) for group in groups)
    assert lengths == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_a_batch_has_the_loss_of_its_examples_whatever_is_padded_or_left_out(base, pairs):
    examples = encode(pairs, base.tokenizer, 512).examples
    unlike = [examples[0], Example([5, 6, 7], [IGNORED, 6, 7]), Example([1, 5, 9, 9], [IGNORED, IGNORED, 9, 9])]
    whole, learnt = 0.0, 0
    for ids, labels in unlike:
        alone = base.model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
        count = len(labels) - labels.count(IGNORED)
        whole, learnt = whole + alone * count, learnt + count
    batch = lean.collate(unlike, base.tokenizer.pad_token_id)
    assert base.model(**batch).loss.item() == pytest.approx(whole / learnt, rel=1e-5)
    assert batch["labels"].shape[1] == batch["logits_to_keep"] == batch["input_ids"].shape[1]


def test_no_logits_are_asked_for_over_the_prompt(base, pairs):
    examples = encode(pairs, base.tokenizer, 512).examples[:4]
    batch = lean.collate(examples, base.tokenizer.pad_token_id)
    prompt = min(example.labels.count(IGNORED) for example in examples)
    assert batch["labels"].shape[1] == batch["input_ids"].shape[1] - prompt + 1
    assert base.model(**batch).logits.shape[1] == batch["labels"].shape[1]


def test_a_long_loss_curve_is_thinned_to_means():
    curve = tuning.thinned([float(i) for i in range(640)])
    assert len(curve) == 64
    assert curve[0] == 4.5
    assert tuning.thinned([3.0, 1.0]) == (3.0, 1.0)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_training_with_what_to_do(loss):
    heard = []
    tuning._reported(heard.append, Progress(step=1, steps=9, loss=1.0))
    with pytest.raises(TrainingRefused, match="learning_rate"):
        tuning._reported(heard.append, Progress(step=2, steps=9, loss=loss))
    assert len(heard) == 1
