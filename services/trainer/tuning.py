"""One job from pairs to a probed adapter, in whatever process calls it."""

import importlib
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from archloop.errors import Unavailable
from archloop.models import locate
from services.trainer import lora, pairs, probe
from services.trainer.job import Job, Progress, Tuned

_CURVE_POINTS = 64
_LIBRARIES = {"lean": ("torch", "transformers", "peft"), "trl": ("torch", "transformers", "peft", "trl")}


class Base(NamedTuple):
    """A base model in fp32 with its tokenizer. A job leaves its adapter in the model: use it once."""

    model: Any
    tokenizer: Any


def load(base_model: str) -> Base:
    """From the project, a folder or the hub; safetensors only, no code of the model's own. Raises Unavailable."""
    disable_progress_bar()
    where = locate(base_model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise Unavailable(f"base model {base_model!r} cannot be loaded: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Base(model, tokenizer)


def tune(job: Job, base: Base, report: Callable[[Progress], None]) -> Tuned:
    """Train, save, probe. The same job on the same machine leaves the same bytes."""
    started = time.monotonic()
    torch.manual_seed(job.seed)
    read = pairs.read(job.pairs)
    encoded = pairs.encode(read, base.tokenizer, job.training.max_length)
    model = lora.attach(base.model, job.training, job.parent)
    losses = importlib.import_module(f"services.trainer.{job.training.method}").train(
        model,
        encoded.examples,
        job.training,
        tokenizer=base.tokenizer,
        seed=job.seed,
        on_step=lambda step, steps, loss: report(Progress(step=step, steps=steps, loss=loss)),
    )
    return Tuned(
        pair_count=len(encoded.examples),
        dropped=encoded.dropped,
        loss_curve=thinned(losses),
        lora=lora.save(model, job.out, job.base_model),
        probe=probe.take(model, base.tokenizer, (pair.prompt for pair in read)),
        libraries={name: version(name) for name in _LIBRARIES[job.training.method]},
        seconds=time.monotonic() - started,
    )


def thinned(losses: Sequence[float]) -> tuple[float, ...]:
    """At most 64 points: means over equally many neighbouring steps."""
    width = -(-len(losses) // _CURVE_POINTS)
    parts = [losses[start : start + width] for start in range(0, len(losses), width)]
    return tuple(sum(part) / len(part) for part in parts)
