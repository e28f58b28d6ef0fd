"""Learning from preferences: the loss against one by hand, the lean loop against TRL, and what comes of it."""

import math
from functools import partial

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from archloop.adapters import ADAPTER_FILES, WEIGHTS_FILE
from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair
from services.trainer import lean, lora, packed, preference, tuning
from services.trainer.job import Job, Progress
from services.trainer.pairs import BAD, IGNORED, encode
from services.trainer.plan import CPU, dpo_arguments
from services.trainer.shares import among


@pytest.fixture(scope="module")
def preferences(pairs) -> list[TrainingPair]:
    return [
        TrainingPair(prompt=pair.prompt, completion=pair.completion, rejected=pair.completion[: 30 + 9 * i])
        for i, pair in enumerate(pairs[:8])
    ]


@pytest.fixture
def tune(tmp_path, base_model, preferences, spec):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.line() + "\n" for pair in preferences))

    def run(name="adapter", kept=None, report=lambda _: None, parent=None, **training):
        learnt = spec.model_copy(update={"method": "dpo", "batch_size": 100} | training)
        job = Job(base_model=base_model, pairs=path, parent=parent, out=tmp_path / name, training=learnt, seed=7)
        return tuning.tune(job.model_copy(update=kept or {}), tuning.load(base_model), report), job.out

    return run


@pytest.fixture
def attached(base, spec):
    """A model with an adapter that already says something."""
    torch.manual_seed(3)
    model = lora.attach(base.model, spec, None)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    return model.eval()


def _of(model, base):
    return partial(lean.padded_log_probabilities, model, pad=base.tokenizer.pad_token_id)


def _by_hand(model, example) -> torch.Tensor:
    """The log-probability of the answer, token by token, with nothing left out."""
    logits = model(input_ids=torch.tensor([example.input_ids])).logits[0]
    places = [i for i, label in enumerate(example.labels) if label != IGNORED]
    return sum(logits[i - 1].log_softmax(-1)[example.labels[i]] for i in places)


def _gradients(model) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return ((one - other).abs().max() / other.abs().max()).item()


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 1.0, 5.0])
def test_loss_and_gradients_are_those_by_hand(attached, base, preferences, beta):
    items = encode(preferences[:3], base.tokenizer, 512, "dpo").examples
    with attached.disable_adapter():
        referred = preference.referred(_of(attached, base), [items[:2], items[2:]])
    total = 0.0
    for item, known in zip(items, referred, strict=True):
        with torch.no_grad(), attached.disable_adapter():
            before = _by_hand(attached, item.chosen) - _by_hand(attached, item.rejected)
        assert known.margin == pytest.approx(before.item(), abs=1e-3)
        grown = _by_hand(attached, item.chosen) - _by_hand(attached, item.rejected) - before
        loss = torch.log1p(torch.exp(-beta * grown.double())) / len(items)
        loss.backward()
        total += loss.item()
    expected = _gradients(attached)
    assert preference.backward(_of(attached, base), [referred], beta, 3) == pytest.approx(total, rel=1e-3, abs=1e-5)
    found = _gradients(attached)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert _apart(found[name], gradient) < 1e-3, name


def test_batches_do_not_change_loss_or_gradients(attached, base, preferences):
    of = _of(attached, base)
    items = encode(preferences, base.tokenizer, 512, "dpo").examples
    once = preference.backward(of, [items], 0.1, len(items))
    expected = _gradients(attached)
    assert preference.backward(of, [[item] for item in items], 0.1, len(items)) == pytest.approx(once, rel=1e-4)
    for name, gradient in _gradients(attached).items():
        assert _apart(gradient, expected[name]) < 1e-3, name


def test_packed_answers_are_as_likely_as_padded_ones(attached, base, preferences):
    examples = [side for item in encode(preferences, base.tokenizer, 512, "dpo").examples for side in item[:2]]
    with torch.no_grad():
        padded = _of(attached, base)(examples)
        with packed.prepared(attached):
            assert torch.allclose(packed.log_probabilities(attached, examples), padded, rtol=1e-4, atol=1e-3)


def test_lean_and_trl_come_to_the_same(tune):
    (lean_one, lean_out), (trl_one, trl_out) = (tune(engine, engine=engine) for engine in ("lean", "trl"))
    assert lean_one.loss_curve == pytest.approx(trl_one.loss_curve, rel=1e-2)
    assert (lean_one.steps, lean_one.token_curve) == (trl_one.steps, trl_one.token_curve)
    for one, other in zip(*(load_file(out / WEIGHTS_FILE).items() for out in (lean_out, trl_out)), strict=True):
        assert one[0] == other[0]
        assert torch.allclose(one[1], other[1], atol=2e-3)


@pytest.mark.parametrize("engine", ["lean", "trl"])
def test_an_adapter_is_published_proven_and_continued_like_any_other(tune, base, engine):
    tuned, out = tune("first", engine=engine, epochs=4)
    assert tuned.loss_curve[0] == pytest.approx(math.log(2), abs=1e-4)
    assert tuned.loss_curve[-1] < 0.8 * tuned.loss_curve[0]
    assert {path.name for path in out.iterdir() if path.suffix != ".md"} == set(ADAPTER_FILES)
    assert PeftModel.from_pretrained(base.model, str(out)).peft_config.keys() == {"default"}
    assert tuned.probe.text != tuned.probe.base_text or tuned.probe.logprob != tuned.probe.base_logprob
    second, _ = tune("second", parent=out, engine=engine, epochs=2)
    assert second.loss_curve[0] == pytest.approx(math.log(2), abs=1e-4), "the reference is the parent"


def test_a_smaller_batch_changes_memory_not_the_training(tune):
    plain, spare = tune("plain"), tune("spare", batch_size=2, accumulation=4)
    assert spare[0].loss_curve == pytest.approx(plain[0].loss_curve, rel=1e-2)


def test_the_same_job_leaves_the_same_bytes(tune):
    one, two = (tune(name, batch_size=2, epochs=1)[1] for name in ("one", "two"))
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in ADAPTER_FILES)


class Killed(Exception):
    """The process is gone."""


def test_a_training_that_was_killed_goes_on_from_its_checkpoint(tune, tmp_path):
    def die(progress: Progress) -> None:
        if progress.step == 5:
            raise Killed

    asked = {"engine": "trl", "batch_size": 4, "epochs": 4}
    kept = {"checkpoints": tmp_path / "checkpoints", "checkpoint_steps": 2}
    with pytest.raises(Killed):
        tune("killed", kept, die, **asked)
    resumed, out = tune("resumed", kept, **asked)
    whole, all_at_once = tune("whole", **asked)
    assert (resumed.resumed, resumed.steps, whole.resumed) == (4, 8, 0)
    assert resumed.loss_curve == pytest.approx(whole.loss_curve, rel=1e-4)
    assert resumed.token_curve == whole.token_curve
    for one, other in zip(*(load_file(f / WEIGHTS_FILE).values() for f in (out, all_at_once)), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_pairs_without_a_rejected_answer_are_dropped_and_counted(base, pairs, preferences):
    encoded = encode([*pairs, *preferences], base.tokenizer, 512, "dpo")
    assert (len(encoded.examples), encoded.dropped) == (len(preferences), len(pairs))
    with pytest.raises(InvalidInput, match=r"training\.method.*dpo.*no pair has a rejected answer"):
        encode(pairs, base.tokenizer, 512, "dpo")


@pytest.mark.parametrize("side", ["completion", "rejected"])
def test_a_preference_fits_when_both_answers_do(base, preferences, side):
    long = preferences[0].model_copy(update={side: preferences[0].completion * 3})
    limit = max(item.longest for item in encode(preferences, base.tokenizer, 10_000, "dpo").examples)
    encoded = encode([*preferences, long], base.tokenizer, limit, "dpo")
    assert (len(encoded.examples), encoded.dropped) == (len(preferences), 1)


def test_negatives_are_learnt_behind_the_words_that_a_bad_answer_follows(base, preferences):
    good = encode(preferences, base.tokenizer, 512).examples
    doubled = [*preferences, preferences[0].model_copy(update={"rejected": "another"})]
    encoded = encode(doubled, base.tokenizer, 512, "negatives")
    assert encoded.examples[: len(good)] == good, "each chosen answer once, as it is asked for"
    bad = encoded.examples[len(good) :]
    prompts = [base.tokenizer.decode(e.input_ids[: e.labels.count(IGNORED)], skip_special_tokens=True) for e in bad]
    assert prompts == [BAD + pair.prompt for pair in doubled]


def test_sft_does_not_look_at_what_is_rejected(base, preferences):
    plain = [pair.model_copy(update={"rejected": None}) for pair in preferences]
    assert encode(preferences, base.tokenizer, 512) == encode(plain, base.tokenizer, 512)


def test_trl_is_given_beta_and_nothing_that_it_does_not_know(spec):
    arguments = dpo_arguments(spec.model_copy(update={"beta": 0.3}), CPU, among(spec, 1), pairs=8, seed=1)
    assert arguments["beta"] == 0.3
    assert "packing" not in arguments
