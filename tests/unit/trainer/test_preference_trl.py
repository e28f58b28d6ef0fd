"""The lean loop's loss of preferences against TRL's own DPOTrainer, which is given the texts and told no more."""

from functools import partial

import pytest
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from archloop.training_pairs import TrainingPair
from services.trainer import lean, lora, preference
from services.trainer.pairs import IGNORED, encode

BETAS = (0.02, 0.1, 0.3, 1.0, 4.0)


@pytest.fixture(scope="module")
def preferences(pairs) -> list[TrainingPair]:
    """Answers that are set against the next one's, against a part of their own, and against none of a network."""
    answers = [pair.completion for pair in pairs]
    rejected = [answers[1], answers[1][:60], "no network", answers[4], answers[4][:200]]
    return [
        pair.model_copy(update={"rejected": text}) for pair, text in zip(pairs[: len(rejected)], rejected, strict=True)
    ]


@pytest.fixture
def model(base, spec):
    """A model with an adapter that already says something, as one that is trained further has."""
    torch.manual_seed(3)
    attached = lora.attach(base.model, spec, None)
    _move(attached, 0.05)
    return attached.eval()


@pytest.fixture
def trl(model, base, preferences, tmp_path):
    """TRL's trainer as its documentation makes it; the reference is the adapter as it is now."""
    bos = base.tokenizer.bos_token
    rows = [{"prompt": bos + p.prompt, "chosen": p.completion, "rejected": p.rejected} for p in preferences]

    def trainer(beta: float) -> DPOTrainer:
        config = DPOConfig(output_dir=str(tmp_path), beta=beta, max_length=None, use_cpu=True, report_to="none")
        return DPOTrainer(model, args=config, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer)

    return trainer


def _move(model, by: float) -> None:
    """Change what is trained, as some steps would."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B.default" in name:
                weights.add_(torch.randn_like(weights), alpha=by)


def _gradient(model) -> torch.Tensor:
    found = [p.grad.flatten() for name, p in model.named_parameters() if ".default." in name]
    model.zero_grad()
    return torch.cat(found)


@pytest.mark.parametrize("moved", [0.0, 0.01], ids=["first", "later"])
@pytest.mark.parametrize("beta", BETAS)
def test_loss_and_gradient_are_those_of_trl(model, base, preferences, trl, beta, moved):
    of = partial(lean.padded_log_probabilities, model, pad=base.tokenizer.pad_token_id)
    items = preference.referred(of, [encode(preferences, base.tokenizer, 512, "dpo").examples])
    theirs = trl(beta)
    model.eval()
    _move(model, moved)
    loss = theirs.compute_loss(model, theirs.data_collator(list(theirs.train_dataset)))
    loss.backward()
    expected = _gradient(model)
    rounding = 1e-4 * max(1.0, beta)  # that of the answers' log-probabilities, in float32, is multiplied by beta
    assert preference.backward(of, [items], beta, len(items)) == pytest.approx(loss.item(), abs=rounding)
    found = _gradient(model)
    assert torch.cosine_similarity(found, expected, dim=0).item() == pytest.approx(1, abs=1e-5)
    assert found.norm().item() == pytest.approx(expected.norm().item(), rel=1e-3)
    assert (abs(loss.item() - 0.693147) > 1e-4) == bool(moved), "only the first loss is that of a coin"


def test_the_tokens_are_those_of_trl(base, preferences, trl):
    for row, item in zip(trl(0.1).train_dataset, encode(preferences, base.tokenizer, 512, "dpo").examples, strict=True):
        asked = item.chosen.labels.count(IGNORED)
        assert row["prompt_ids"] == item.chosen.input_ids[:asked] == item.rejected.input_ids[:asked]
        assert row["chosen_ids"] == item.chosen.input_ids[asked:]
        assert row["rejected_ids"] == item.rejected.input_ids[asked:]
