"""The same trainings by TRL's SFTTrainer and DPOTrainer: slower to start, and meant for real LLMs."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from services.trainer import checkpoints
from services.trainer.job import Job, Point, Progress
from services.trainer.pairs import IGNORED, Example, Items, Preference
from services.trainer.plan import Machine, dpo_arguments, saving, sft_arguments

_REFERENCE = "ref"  # what TRL calls the copy of the adapter that it compares with


class _EachStep(TrainerCallback):  # type: ignore[misc]
    """Reports the Trainer's log of every step; a checkpoint contains the log of the steps before it."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:  # noqa: ARG002
        """Report a step. The Trainer calls this after every step, and once more at the end, without `loss`."""
        if "loss" in logs:
            loss, tokens = logs["loss"], state.num_input_tokens_seen
            self._report(Progress(step=state.global_step, steps=state.max_steps, loss=loss, tokens=tokens))


class _Grouped(torch.utils.data.Sampler[int]):
    """Sampler of groups of similar length, in an order that only seed and epoch decide.

    So a training that resumes from a checkpoint sees the remaining pairs, and all processes agree.
    """

    def __init__(self, lengths: list[int], size: int, seed: int) -> None:
        self._lengths, self._size, self._seed, self._epoch = lengths, size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; the Trainer calls this before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._size, generator=order))


class _Ordered:
    """A trainer with the order of pairs given."""

    order: _Grouped

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> _Grouped:  # noqa: ARG002
        return self.order


class _OnExamples(_Ordered, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer of chosen answers."""


class _OnPreferences(_Ordered, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer of preferences; its reference is a copy of the adapter as it is before the first step."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        """Return what is tokenised already: text would be split at other places than where answers begin."""
        return dataset


def train(
    model: Any,
    examples: Items,
    job: Job,
    machine: Machine,
    *,
    tokenizer: Any,
    report: Callable[[Progress], None],
) -> list[Point]:
    """Train in place; return every step's loss. Pairs come with their labels, so TRL tokenizes nothing."""
    disable_progress_bars()
    kind = _OnPreferences if job.training.method == "dpo" else _OnExamples
    with tempfile.TemporaryDirectory() as scratch:
        trainer = kind(
            model=model,
            args=_config(job, machine, scratch, pairs=len(examples)),
            train_dataset=Dataset.from_list([_row(example) for example in examples]),
            processing_class=tokenizer,
            callbacks=[_EachStep(report)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.order = _Grouped([e.tokens for e in examples], job.training.effective_batch, job.seed)
        latest = checkpoints.latest(job.checkpoints) if job.checkpoints else None
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
    if _REFERENCE in model.peft_config:
        model.delete_adapter(_REFERENCE)
    _part()
    return [Point(log["loss"], log["num_input_tokens_seen"]) for log in trainer.state.log_history if "loss" in log]


def _config(job: Job, machine: Machine, scratch: str, pairs: int) -> SFTConfig | DPOConfig:
    dpo = job.training.method == "dpo"
    arguments = (dpo_arguments if dpo else sft_arguments)(
        job.training, machine, job.batches, pairs=pairs, seed=job.seed
    )
    every = job.checkpoint_steps if job.checkpoints else 0
    return (DPOConfig if dpo else SFTConfig)(**arguments, **saving(str(job.checkpoints or Path(scratch)), every))


def _row(item: Example | Preference) -> dict[str, list[int]]:
    """Return the columns that TRL knows a pair by."""
    if isinstance(item, Example):
        return item._asdict()
    asked = item.chosen.labels.count(IGNORED)
    return {
        "prompt_ids": item.chosen.input_ids[:asked],
        "chosen_ids": item.chosen.input_ids[asked:],
        "rejected_ids": item.rejected.input_ids[asked:],
    }


def _part() -> None:
    """Leave the group of processes, all at once; what follows is done by the first one alone, and takes its time."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
