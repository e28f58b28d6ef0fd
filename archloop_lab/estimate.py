"""About how much a run takes on GPUs, from assumptions that stand here; be ready for a factor of three."""

import re
from typing import NamedTuple

from archloop.contracts.spec import RunSpec
from archloop.protocols.model import Protocol

PROMPT_TOKENS, ANSWER_TOKENS = 600, 900  # of the `paper` template, and of networks as LEMUR has them
WRITTEN_PER_S = 1_500  # tokens, a 7 B model in bf16 on one GPU with requests batched
TRAINED_PER_S = 1_500  # tokens, QLoRA of a 7 B model on a GPU of 24 GB
# The median epoch of LEMUR's networks on CIFAR-10 at 256 x 256 took 42 s on its authors' GPUs (6,294 records in 2.1.2).
SECONDS_PER_MEGAPIXEL = 42 / (50_000 * 256**2 / 1e6)
START_S = 5  # of a candidate: process, CUDA, held-out images
VALID = 0.5  # of the candidates train; the others end within seconds (the paper's mean)
ADMITTED = 20  # a cycle, as in the paper (455 in 22 cycles)
BOOTSTRAP = 1_700  # pairs, where they are still to be made: about as many as the paper's
LORA_BYTES = 1 / 50  # of the base model's, at r = 32 on all linear layers
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)b\b", re.IGNORECASE)


class Estimate(NamedTuple):
    """Hours of one GPU for each kind of work, and GB."""

    tokens: int
    generate_hours: float
    evaluate_hours: float
    train_hours: float
    serving_gb: float
    training_gb: float
    disk_gb: float

    @property
    def hours(self) -> float:
        """Of all GPUs together."""
        return self.generate_hours + self.evaluate_hours + self.train_hours


def of(spec: RunSpec, protocol: Protocol, bootstrap: int) -> Estimate:
    """Estimate a run that begins with so many pairs."""
    candidates = spec.cycles * spec.candidates
    answer = min(ANSWER_TOKENS, spec.generation.max_new_tokens)
    weights = parameters(spec.base_model) * 2 / 1e9
    quantised = spec.training.quantization == "nf4"
    return Estimate(
        tokens=candidates * (PROMPT_TOKENS + answer),
        generate_hours=candidates * answer / WRITTEN_PER_S / 3600,
        evaluate_hours=candidates * (START_S + VALID * epoch_seconds(protocol)) / 3600,
        train_hours=_trained_tokens(spec, bootstrap, answer) / TRAINED_PER_S / 3600,
        serving_gb=1.3 * weights,
        training_gb=0.3 * weights + 12 if quantised else 1.2 * weights + 12,
        disk_gb=weights * (1 + spec.cycles * LORA_BYTES) + candidates * 3e-5 + 1,
    )


def epoch_seconds(protocol: Protocol) -> float:
    """Estimate the seconds of one network's epoch on a GPU."""
    channels, height, width = protocol.input_shape
    megapixels = protocol.epochs * protocol.dataset.train * height * width / 1e6
    return SECONDS_PER_MEGAPIXEL * megapixels * channels / 3


def parameters(base_model: str) -> float:
    """Read the number of parameters off the model's name; 0 where it does not tell."""
    found = _BILLIONS.search(base_model)
    return float(found[1]) * 1e9 if found else 0.0


def pair_passes(spec: RunSpec, bootstrap: int) -> float:
    """Count how often a pair is gone through, over all trainings."""
    if spec.frozen:
        return 0.0
    again = bootstrap if spec.bootstrap is not None and spec.bootstrap.replay else 0
    admitted = min(ADMITTED, spec.candidates)
    earlier = [admitted * cycle for cycle in range(spec.cycles - 1)]
    limit = spec.selection.replay
    pairs = [again + admitted + (count if limit is None else min(limit, count)) for count in earlier]
    sizes = [size for size in (bootstrap, *pairs) if size]
    return sum(size * spec.training.passes(size) for size in sizes)


def _trained_tokens(spec: RunSpec, bootstrap: int, answer: int) -> float:
    return pair_passes(spec, bootstrap) * (PROMPT_TOKENS + answer)
