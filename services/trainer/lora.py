"""The LoRA adapter around a base model: made new or continued from its parent, and saved reproducibly."""

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

from archloop.adapters import CONFIG_FILE, servable
from archloop.contracts.adapter import LoraShape
from archloop.contracts.training import TrainingSpec
from services.trainer import plan
from services.trainer.job import TrainingRefused


def attach(base: Any, spec: TrainingSpec, parent: Path | None) -> Any:
    """Return a trainable PeftModel of a shape that every server takes: what cannot be served is not trained.

    Raises TrainingRefused where the parent has another shape than `spec` asks for, InvalidInput that names the server.
    """
    if spec.quantization != "none":
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=spec.gradient_checkpointing)
    if parent is None:
        model = get_peft_model(base, LoraConfig(**plan.lora_arguments(spec)))
    else:
        model = PeftModel.from_pretrained(base, str(parent), config=_continued(spec, parent), is_trainable=True)
    servable(_by_last_name(model.peft_config["default"].to_dict()))
    return model


def save(model: Any, out: Path, base_model: str) -> LoraShape:
    """Write the two files, the same bytes for the same weights. Raises InvalidInput for a shape no server takes."""
    model.save_pretrained(str(out), save_embedding_layers=False)
    config = _by_last_name(json.loads((out / CONFIG_FILE).read_text()))
    config["base_model_name_or_path"] = base_model
    servable(config)
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return LoraShape(r=config["r"], alpha=config["lora_alpha"], target_modules=tuple(config["target_modules"]))


def load(base: Any, folder: Path) -> Any:
    """Load what `save` wrote around another copy of the base model, as a server would."""
    return PeftModel.from_pretrained(base, str(folder))


def _continued(spec: TrainingSpec, parent: Path) -> LoraConfig:
    config = LoraConfig.from_pretrained(str(parent))
    for field, has, wanted in (("r", config.r, spec.r), ("alpha", config.lora_alpha, spec.alpha)):
        if has != wanted:
            raise TrainingRefused(
                f"training.{field}: {wanted} cannot continue the parent adapter, which has {field} {has}; "
                f"keep {has}, or start without a parent"
            )
    config.lora_dropout = spec.dropout
    return config


def _by_last_name(config: dict[str, Any]) -> dict[str, Any]:
    """Name the target modules by the last part of their names, as servers do; peft may use whole paths."""
    return config | {"target_modules": sorted({name.rpartition(".")[2] for name in config["target_modules"]})}
