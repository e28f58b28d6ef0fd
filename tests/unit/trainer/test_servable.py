import pytest

from archloop.errors import InvalidInput
from services.trainer.servable import check

GOOD = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "bias": "none", "target_modules": ["q_proj", "down_proj"]}


def test_what_every_server_serves_passes():
    check(GOOD | {"use_rslora": True, "rank_pattern": {}, "modules_to_save": None, "init_lora_weights": True})


@pytest.mark.parametrize(
    ("field", "value", "who"),
    [
        ("peft_type", "LOHA", "TGI and vLLM"),
        ("r", 24, "vLLM"),
        ("bias", "all", "vLLM rejects"),
        ("lora_bias", True, "vLLM rejects"),
        ("use_dora", True, "TGI ignores the magnitudes"),
        ("modules_to_save", ["lm_head"], "vLLM rejects"),
        ("rank_pattern", {"q_proj": 8}, "TGI reads one rank"),
        ("alpha_pattern", {"q_proj": 8}, "TGI reads one alpha"),
        ("layers_to_transform", [0, 1], "TGI drops"),
        ("layer_replication", [[0, 2]], "vLLM rejects"),
        ("target_parameters", ["experts.w"], "module weights only"),
        ("init_lora_weights", "pissa", "vLLM rejects"),
        ("target_modules", ["q_proj", "lm_head"], "TGI adapts no others"),
    ],
)
def test_a_shape_that_some_server_spoils_is_refused_with_the_server_named(field, value, who):
    with pytest.raises(InvalidInput, match=rf"^{field}: .*{who}"):
        check(GOOD | {field: value})
