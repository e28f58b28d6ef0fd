import pytest

from archloop.errors import InvalidInput
from services.trainer import lora, plan
from services.trainer.servable import check

GOOD = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "bias": "none", "target_modules": ["q_proj", "down_proj"]}


def test_what_every_server_serves_passes():
    check(GOOD | {"use_rslora": True, "rank_pattern": {}, "modules_to_save": None, "init_lora_weights": True})


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
    with pytest.raises(InvalidInput, match=rf"^{field}: .*{who}"):
        check(GOOD | {field: value})


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
