"""The same training by TRL's SFTTrainer: slower to start, and what a real LLM wants."""

import math
import tempfile
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from archloop.contracts.spec import TrainingSpec
from services.trainer.lean import OnStep, warm_up
from services.trainer.pairs import Example


class _EachStep(TrainerCallback):  # type: ignore[misc]
    def __init__(self, on_step: OnStep) -> None:
        self.losses: list[float] = []
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:  # noqa: ARG002
        """Called by the Trainer after every step, and once more at the end, then without `loss`."""
        if "loss" in logs:
            self.losses.append(logs["loss"])
            self._on_step(state.global_step, state.max_steps, logs["loss"])


def train(
    model: Any,
    examples: Sequence[Example],
    spec: TrainingSpec,
    *,
    tokenizer: Any,
    seed: int,
    on_step: OnStep,
) -> list[float]:
    """Train in place; return the loss of every step. Pairs come with their labels, so TRL tokenizes nothing."""
    progress = _EachStep(on_step)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=_config(spec, seed, scratch, pairs=len(examples)),
            train_dataset=Dataset.from_list([example._asdict() for example in examples]),
            processing_class=tokenizer,
            callbacks=[progress],
        )
        trainer.train()
    return progress.losses


def _config(spec: TrainingSpec, seed: int, scratch: str, pairs: int) -> SFTConfig:
    epochs = spec.passes(pairs)
    return SFTConfig(
        output_dir=scratch,
        seed=seed,
        learning_rate=spec.learning_rate,
        num_train_epochs=epochs,
        per_device_train_batch_size=spec.batch_size,
        max_length=spec.max_length,
        packing=False,
        lr_scheduler_type="linear",
        warmup_steps=warm_up(epochs * math.ceil(pairs / spec.batch_size)),
        train_sampling_strategy="group_by_length",
        gradient_checkpointing=False,
        bf16=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
