"""The LoRA adapter around a base model: made anew or continued from its parent, and saved reproducibly."""

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model

from archloop.contracts.adapter import LoraShape
from archloop.contracts.spec import TrainingSpec
from services.trainer import servable
from services.trainer.errors import TrainingRefused
from services.trainer.job import CONFIG_FILE


def attach(base: Any, spec: TrainingSpec, parent: Path | None) -> Any:
    """A trainable PeftModel. Raises TrainingRefused where the parent has another shape than `spec` asks for."""
    if parent is None:
        return get_peft_model(base, _config(spec))
    config = LoraConfig.from_pretrained(str(parent))
    for field, has, wanted in (("r", config.r, spec.r), ("alpha", config.lora_alpha, spec.alpha)):
        if has != wanted:
            raise TrainingRefused(
                f"training.{field}: {wanted} cannot continue the parent adapter, which has {field} {has}; "
                f"keep {has}, or start without a parent"
            )
    config.lora_dropout = spec.dropout
    return PeftModel.from_pretrained(base, str(parent), config=config, is_trainable=True)


def save(model: Any, out: Path, base_model: str) -> LoraShape:
    """Write the two files, the same bytes for the same weights. Raises InvalidInput for a shape no server takes."""
    model.save_pretrained(str(out), save_embedding_layers=False)
    config = json.loads((out / CONFIG_FILE).read_text())
    modules = {name.rpartition(".")[2] for name in config["target_modules"]}
    config |= {"base_model_name_or_path": base_model, "target_modules": sorted(modules)}
    servable.check(config)
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return LoraShape(r=config["r"], alpha=config["lora_alpha"], target_modules=tuple(config["target_modules"]))


def _config(spec: TrainingSpec) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules="all-linear",
    )
