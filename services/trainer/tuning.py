"""One job from pairs to a probed adapter, in whatever process calls it."""

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from archloop import training_pairs
from archloop.contracts.training import Engine, TrainingSpec
from archloop.errors import Unavailable
from archloop.models import locate
from archloop.training_pairs import TrainingPair
from services.trainer import checkpoints, lean, lora, pairs, plan, probe
from services.trainer.job import Job, Point, Progress, TrainingRefused, Tuned
from services.trainer.plan import CPU, Machine

_CURVE_POINTS = 64
_LIBRARIES = ("torch", "transformers", "peft")
_PLAIN = TrainingSpec()


class Base(NamedTuple):
    """Base model with its tokenizer. A job leaves its adapter in the model: use it once."""

    model: Any
    tokenizer: Any


class Loop(Protocol):
    """A training loop: trains the model in place and returns every step's loss."""

    def __call__(
        self,
        model: Any,
        examples: pairs.Items,
        job: Job,
        machine: Machine,
        *,
        tokenizer: Any,
        report: Callable[[Progress], None],
    ) -> list[Point]:
        """Train `model` on the examples in place; `report` is called after every step."""


@dataclass
class Trained:
    """Adapter after the last step, still around the model that it was trained on."""

    model: Any
    tokenizer: Any
    read: list[TrainingPair]
    encoded: pairs.Encoded
    points: list[Point]
    resumed: int
    seconds: float


def load(base_model: str, spec: TrainingSpec = _PLAIN, machine: Machine = CPU, rank: int = 0) -> Base:
    """Load a base model from the project, a folder or the hub; only safetensors, and no code of the model's own.

    Raises Unavailable.
    """
    disable_progress_bar()
    where = locate(base_model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        arguments = plan.model_arguments(spec, machine, rank, _parameters(where))
        model = AutoModelForCausalLM.from_pretrained(where, **arguments)
    except (OSError, ValueError) as error:
        raise Unavailable(f"base model {base_model!r} cannot be loaded: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Base(model, tokenizer)


def _parameters(where: str) -> int:
    """Count the parameters of a model without loading them."""
    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(where)).num_parameters())


def fitting(job: Job, base: Base | None, machine: Machine, rank: int = 0) -> Base:
    """Return the base model that is there, or one in the precision that the job wants instead.

    What the machine cannot do is refused before anything is loaded.
    """
    plan.check(job.training, machine)
    if base is not None:
        wanted = plan.weights(job.training, machine, base.model.num_parameters())
        if base.model.dtype == getattr(torch, wanted):
            return base
    return load(job.base_model, job.training, machine, rank)


def tune(job: Job, base: Base | None, report: Callable[[Progress], None], machine: Machine = CPU) -> Tuned:
    """Train, save and probe. The same job on the same machine leaves the same bytes. Without `base` it is loaded."""
    return finish(job, train(job, base, report, machine), machine)


def train(
    job: Job, base: Base | None, report: Callable[[Progress], None], machine: Machine = CPU, rank: int = 0
) -> Trained:
    """Do everything up to the last step."""
    base = fitting(job, base, machine, rank)
    read = training_pairs.read(job.pairs)
    torch.manual_seed(job.seed)
    encoded = pairs.encode(read, base.tokenizer, job.training.max_length, job.training.method)
    model = lora.attach(base.model, job.training, job.parent)
    resumed = checkpoints.step_of(checkpoints.latest(job.checkpoints)) if job.checkpoints else 0
    started = time.monotonic()
    loop = _loop_of(job.training.engine)
    points = loop(model, encoded.examples, job, machine, tokenizer=base.tokenizer, report=partial(_reported, report))
    return Trained(model, base.tokenizer, read, encoded, points, resumed, time.monotonic() - started)


def _loop_of(engine: Engine) -> Loop:
    """Return the loop of an engine. TRL is imported only where it is used: it takes seconds, and may be absent."""
    if engine == "trl":
        from services.trainer import trl

        return trl.train
    return lean.train


def finish(job: Job, trained: Trained, machine: Machine = CPU) -> Tuned:
    """Save and probe. Raises InvalidInput, TrainingRefused."""
    started = time.monotonic()
    shape = lora.save(trained.model, job.out, job.base_model)
    steps, names = trained.points, _LIBRARIES + (("trl",) if job.training.engine == "trl" else ())
    if job.training.quantization != "none" or trained.model.get_base_model().dtype != getattr(torch, machine.dtype):
        _unquantise(job, trained, machine)
    questions = probe.questions(trained.read)
    large = not machine.gpus and trained.model.get_base_model().num_parameters() >= plan.LARGE
    return Tuned(
        pair_count=len(trained.encoded.examples),
        dropped=trained.encoded.dropped,
        loss_curve=thinned([point.loss for point in steps]),
        token_curve=tuple(int(part[-1].tokens) for part in _parts(steps)),
        steps=len(steps),
        resumed=trained.resumed,
        shape=job.batches,
        lora=shape,
        probe=probe.take(trained.model, trained.tokenizer, questions, machine._replace(large=large)),
        libraries={name: version(name) for name in names},
        seconds=trained.seconds + time.monotonic() - started,
        tokens_per_second=_tokens(steps, trained.resumed) / trained.seconds,
    )


def _reported(report: Callable[[Progress], None], progress: Progress) -> None:
    """Pass the progress on. Raises TrainingRefused if the loss is no longer finite."""
    if not math.isfinite(progress.loss):
        rate = "lower training.learning_rate"
        raise TrainingRefused(f"the loss is {progress.loss} after step {progress.step} of {progress.steps}; {rate}")
    report(progress)


def thinned(losses: Sequence[float]) -> tuple[float, ...]:
    """Reduce losses to at most 64 points: means over equally many neighbouring steps."""
    return tuple(sum(part) / len(part) for part in _parts(losses))


def _parts(steps: Sequence[Any]) -> list[Sequence[Any]]:
    width = -(-len(steps) // _CURVE_POINTS)
    return [steps[start : start + width] for start in range(0, len(steps), width)]


def _tokens(steps: Sequence[Point], resumed: int) -> int:
    """Return the number of tokens that this process trained on."""
    before = steps[resumed - 1].tokens if resumed else 0
    return steps[-1].tokens - before


def _unquantise(job: Job, trained: Trained, machine: Machine) -> None:
    """Put the adapter on the base model as servers hold it, on a CPU in fp32; on fewer bits its probe is another."""
    trained.model = None
    gc.collect()
    torch.cuda.empty_cache()
    exact = machine._replace(precision="float32")
    trained.model = lora.load(load(job.base_model, machine=exact).model, job.out)
