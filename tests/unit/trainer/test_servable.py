import json

import pytest

from archloop.adapters import servable
from archloop.errors import InvalidInput
from services.trainer import lora, plan

GOOD = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "bias": "none", "target_modules": ["q_proj", "down_proj"]}


def test_what_every_server_serves_passes():
    servable(GOOD | {"use_rslora": True, "rank_pattern": {}, "modules_to_save": None, "init_lora_weights": True})


@pytest.mark.parametrize(
    ("field", "value", "who"),
    [
        ("peft_type", "LOHA", "TGI, LoRAX, vLLM and SGLang"),
        ("task_type", "SEQ_CLS", "TGI and vLLM"),
        ("r", 24, "vLLM"),
        ("bias", "all", "vLLM rejects"),
        ("lora_bias", True, "vLLM rejects"),
        ("use_dora", True, "TGI ignores the magnitudes"),
        ("modules_to_save", ["lm_head"], "vLLM rejects"),
        ("rank_pattern", {"q_proj": 8}, "TGI reads one rank"),
        ("alpha_pattern", {"q_proj": 8}, "TGI reads one alpha"),
        ("layers_to_transform", [0, 1], "TGI drops"),
        ("layer_replication", [[0, 2]], "vLLM rejects"),
        ("alora_invocation_tokens", [5], "vLLM rejects"),
        ("trainable_token_indices", [1], "ignore trained embeddings"),
        ("use_qalora", True, "TGI and vLLM"),
        ("megatron_config", {"a": 1}, "not Megatron's"),
        ("target_parameters", ["experts.w"], "module weights only"),
        ("init_lora_weights", "pissa", "vLLM rejects"),
        ("target_modules", ["q_proj", "lm_head"], "TGI adapts no others"),
    ],
)
def test_a_shape_that_some_server_spoils_is_refused_with_the_server_named(field, value, who):
    for config in (GOOD | {field: value}, json.dumps(GOOD | {field: value}).encode()):
        with pytest.raises(InvalidInput, match=rf"^{field}: .*{who}"):
            servable(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("r", "8"),
        ("r", True),
        ("r", None),
        ("lora_alpha", 0),
        ("lora_alpha", -1.5),
        ("lora_alpha", True),
        ("lora_alpha", "16"),
        ("target_modules", []),
        ("target_modules", "q_proj"),
        ("target_modules", None),
        ("use_rslora", 1),
        ("bias", None),
        ("init_lora_weights", "loftq"),
        ("use_newest_trick", [0]),
    ],
)
def test_a_field_of_another_form_is_named(field, value):
    for config in (GOOD | {field: value}, json.dumps(GOOD | {field: value}).encode()):
        with pytest.raises(InvalidInput, match=f"^{field}: "):
            servable(config)


@pytest.mark.parametrize("field", ["peft_type", "r", "lora_alpha", "target_modules"])
def test_a_field_that_is_missing_is_named(field):
    with pytest.raises(InvalidInput, match=f"^{field}: .*missing"):
        servable({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b"[" * 100_000, b"\xff", b'{"r": 1e999'])
def test_a_file_that_is_no_configuration_is_refused(content):
    with pytest.raises(InvalidInput, match=r"^adapter_config\.json: "):
        servable(content)


def test_a_shape_that_peft_makes_of_our_settings_passes_before_training_too(base, spec):
    modules = lora.attach(base.model, spec, None).peft_config["default"].target_modules
    assert "down_proj" in {name.rpartition(".")[2] for name in modules}
    assert not any("lm_head" in name for name in modules)


@pytest.mark.parametrize(
    ("change", "who"),
    [
        ({"use_dora": True}, "use_dora: .*vLLM rejects"),
        ({"layers_to_transform": [0], "target_modules": ["q_proj"]}, "layers_to_transform: .*TGI drops"),
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules: .*TGI adapts no others"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: .*vLLM rejects"),
    ],
)
def test_what_no_server_takes_is_refused_before_a_step_is_made(base, spec, monkeypatch, change, who):
    known = plan.lora_arguments
    monkeypatch.setattr(plan, "lora_arguments", lambda spec: known(spec) | change)
    with pytest.raises(InvalidInput, match=who):
        lora.attach(base.model, spec, None)
