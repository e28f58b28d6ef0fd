import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    OlmoConfig,
    Phi3Config,
    Qwen2Config,
)

from archloop.adapters import WEIGHTS_FILE
from services.trainer import adapted, lean, packed, plan, probe, tuning
from services.trainer.job import Job
from services.trainer.pairs import IGNORED, Example, prompt_ids

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
KINDS = {
    "llama, two heads to a key": LlamaConfig(**SIZES),
    "llama, biases": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "qwen2": Qwen2Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "phi3, projections in one": Phi3Config(**SIZES, sliding_window=None),
    "olmo, clipped": OlmoConfig(**SIZES, clip_qkv=1.0),
    "granite, scaled logits": GraniteConfig(**SIZES, logits_scaling=4.0, residual_multiplier=0.7),
}


def example(prompt: int, answer: int, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 97, (prompt + answer,), generator=generator).tolist()
    return Example(ids, [IGNORED] * prompt + ids[prompt:])


GROUP = [example(5, 9, 0), example(12, 3, 1), example(1, 1, 2), example(3, 20, 3), example(7, 2, 4)]


def adapted_model(config, dtype=torch.float32, dropout: float = 0.0):
    """A model with an adapter that does something."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config, dtype=dtype)
    lora = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=24, lora_dropout=dropout, target_modules="all-linear")
    model = get_peft_model(base, lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model.train()


def gradients(model) -> dict[str, torch.Tensor]:
    taken = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return taken


def whole(grads: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([grads[name].flatten() for name in sorted(grads)])


def plain_backward(model, group) -> float:
    """One example after the other, logits for the whole vocabulary everywhere, as peft's own examples do it."""
    learnt, total = sum(len(e.labels) - e.labels.count(IGNORED) for e in group), 0.0
    for each in group:
        logits = model(input_ids=torch.tensor([each.input_ids])).logits[0, :-1].float()
        targets = torch.tensor(each.labels[1:])
        loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum") / learnt
        loss.backward()
        total += loss.item()
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("at_once", "tokens"), [(8, 1000), (2, 30)])
def test_packed_loss_and_gradients_are_those_of_a_plain_peft_loop(kind, at_once, tokens):
    model = adapted_model(KINDS[kind])
    expected = plain_backward(model, GROUP)
    wanted = gradients(model)
    assert packed.possible(model)
    with packed.prepared(model):
        assert lean.packed_backward(model, GROUP, at_once, tokens) == pytest.approx(expected, rel=1e-5)
    got = gradients(model)
    assert got.keys() == wanted.keys()
    assert all("lora_" in name and grad.dtype == torch.float32 for name, grad in got.items())
    for name, grad in wanted.items():
        torch.testing.assert_close(got[name], grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_stays_as_near_to_float32_as_in_a_plain_peft_loop(kind):
    exact, half = adapted_model(KINDS[kind]), adapted_model(KINDS[kind])
    for name, weight in half.named_parameters():
        if "lora_" not in name:
            weight.data = weight.data.bfloat16()
    expected = plain_backward(exact, GROUP)
    wanted = whole(gradients(exact))
    plain_backward(half, GROUP)
    allowed = torch.linalg.norm(whole(gradients(half)) - wanted)
    with packed.prepared(half):
        assert lean.packed_backward(half, GROUP, 8, 1000) == pytest.approx(expected, rel=2e-2)
    assert torch.linalg.norm(whole(gradients(half)) - wanted) < 1.5 * allowed


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_only_layers_without_dropout_are_computed_at_once_and_all_are_pefts_afterwards(dropout):
    model = adapted_model(KINDS["qwen2"], dropout=dropout)
    layers = [module for module in model.modules() if hasattr(module, "lora_A")]
    with adapted.fused(model):
        assert [("forward" in vars(layer)) for layer in layers] == [dropout == 0.0] * len(layers)
    assert not any("forward" in vars(layer) for layer in layers)


def test_the_model_attends_as_before_afterwards():
    model = adapted_model(KINDS["llama, two heads to a key"]).eval()
    ids = {"input_ids": torch.tensor([[5, 6, 7, 0], [8, 9, 3, 4]]), "attention_mask": torch.tensor([[1, 1, 1, 0]] * 2)}
    before = model(**ids).logits
    with packed.prepared(model):
        pass
    torch.testing.assert_close(model(**ids).logits, before)


@pytest.mark.parametrize(
    "config",
    [
        GPT2Config(vocab_size=97, n_embd=32, n_layer=1, n_head=2, sliding_window=8),
        MistralConfig(**SIZES, sliding_window=8),
        Phi3Config(**SIZES, sliding_window=8),
        Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=8, max_window_layers=1),
        Qwen2Config(**SIZES, layer_types=["full_attention", "sliding_attention"]),
    ],
)
def test_a_model_that_does_not_attend_to_everything_before_is_not_packed(config):
    assert not packed.possible(adapted_model(config))


@pytest.mark.parametrize(
    ("lengths", "at_once", "tokens", "expected"),
    [
        ([3, 3, 3, 3], 2, 100, [[3, 3], [3, 3]]),
        ([3, 3, 3, 3], 8, 7, [[3, 3], [3, 3]]),
        ([1, 2, 3, 9], 8, 6, [[1, 2, 3], [9]]),
        ([9, 9, 1], 8, 6, [[9], [9], [1]]),
        ([4, 4, 4], 1, 100, [[4], [4], [4]]),
        ([5], 8, 5, [[5]]),
        ([], 8, 5, []),
    ],
)
def test_batches_hold_no_more_than_fits(lengths, at_once, tokens, expected):
    group = [example(1, length - 1, length) for length in lengths]
    got = list(packed.bins(group, at_once, tokens))
    assert [[len(e.input_ids) for e in batch] for batch in got] == expected
    assert [e for batch in got for e in batch] == group


def test_logits_are_for_what_is_learnt_alone():
    laid = packed.pack(GROUP)
    ids = laid.input_ids[0]
    assert laid.targets.tolist() == ids[laid.places + 1].tolist()
    assert len(laid.places) == sum(len(e.labels) - e.labels.count(IGNORED) for e in GROUP)
    assert laid.starts == [0, 14, 29, 31, 54, 63]
    assert laid.position_ids[0, laid.starts[:-1]].tolist() == [0] * 5


@pytest.fixture
def tune(tmp_path, base_model, pairs, spec, monkeypatch):
    """Train on a machine, as if all models from so many parameters on were large."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs))

    def run(name, machine=plan.CPU, large=0, **training):
        monkeypatch.setattr(plan, "LARGE", large)
        monkeypatch.setattr(lean, "LARGE", large)
        wanted = spec.model_copy(update=training)
        job = Job(base_model=base_model, pairs=path, out=tmp_path / name, training=wanted, seed=7)
        return tuning.tune(job, None, lambda _: None, machine), load_file(job.out / WEIGHTS_FILE)

    return run


def test_a_packed_training_comes_to_the_adapter_of_a_padded_one(tune):
    few = {"learning_rate": 2e-3, "epochs": 1}
    (padded, expected), (together, got) = tune("padded", large=10**9, **few), tune("packed", **few)
    assert together.loss_curve == pytest.approx(padded.loss_curve, rel=1e-4)
    assert (together.steps, together.token_curve) == (padded.steps, padded.token_curve)
    for name, weight in expected.items():
        torch.testing.assert_close(got[name], weight, rtol=1e-2, atol=2e-4, msg=name)


HALF = plan.Machine(bf16=True)


@pytest.mark.parametrize("served", [torch.float32, torch.bfloat16])
def test_an_adapter_trained_in_half_precision_is_proven_by_servers_in_either(tune, base, tmp_path, served):
    tuned, weights = tune("half", HALF)
    assert tuned.loss_curve[-1] < 0.8 * tuned.loss_curve[0]
    assert all(weight.dtype == torch.float32 for weight in weights.values())
    model = PeftModel.from_pretrained(base.model.to(served), str(tmp_path / "half")).eval()
    ids, expected = prompt_ids(tuned.probe.prompt, base.tokenizer), tuned.probe
    answer = probe.greedy(model, ids, frozenset({2}), expected.max_new_tokens)
    assert base.tokenizer.decode([choice.token for choice in answer], skip_special_tokens=True) == expected.text
    assert sum(choice.logprob for choice in answer) == pytest.approx(expected.logprob, abs=expected.tolerance)


def test_half_precision_is_another_training_than_float32_and_the_same_each_time(tune):
    once = {"epochs": 1}
    (_, first), (_, again), (_, exact) = tune("one", HALF, **once), tune("two", HALF, **once), tune("three", **once)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], exact[name]) for name in first)
