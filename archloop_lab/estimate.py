"""About how much a run takes on GPUs, from assumptions that stand here; be ready for a factor of three."""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

from archloop import models
from archloop.contracts.spec import RunSpec
from archloop.errors import NotFound
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
CONTEXT_GB = 0.6  # of a process on a GPU, beside what torch allocates
CANDIDATE_GB = 0.7  # weights, gradients and optimiser's state of a network of some 50 million parameters
BYTES_PER_PIXEL = 3_000  # of a training batch, kept for the backward pass: about a DenseNet-121's, in float32
_ANSWERS = {"sft": 1, "dpo": 4, "negatives": 3}  # gone through for each chosen one, at most
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([bm])\b", re.IGNORECASE)
_UNITS = {"b": 1e9, "m": 1e6}
_PARAMETERS = {"smollm2": 135e6}
_LENGTH_BYTES, _HEADER_BYTES = 8, 100_000_000


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


def prompt_tokens(spec: RunSpec, template: int = PROMPT_TOKENS, network: int = ANSWER_TOKENS) -> float:
    """Estimate a prompt: its template, what it remembers, and the network that it shows where it asks for an edit."""
    return template + spec.generation.remembered_tokens + spec.generation.edited * network


def of(spec: RunSpec, protocol: Protocol, bootstrap: int) -> Estimate:
    """Estimate a run that begins with so many pairs."""
    candidates = spec.cycles * spec.candidates
    answer = min(ANSWER_TOKENS, spec.generation.max_new_tokens)
    weights = weights_gb(parameters(spec.base_model))
    return Estimate(
        tokens=round(candidates * (prompt_tokens(spec) + answer)),
        generate_hours=candidates * answer / WRITTEN_PER_S / 3600,
        evaluate_hours=candidates * (START_S + VALID * epoch_seconds(protocol)) / 3600,
        train_hours=_trained_tokens(spec, bootstrap, answer) / TRAINED_PER_S / 3600,
        serving_gb=serving_gb(weights),
        training_gb=training_gb(weights, quantised=spec.training.quantization == "nf4"),
        disk_gb=weights * (1 + spec.cycles * LORA_BYTES) + candidates * 3e-5 + 1,
    )


def epoch_seconds(protocol: Protocol) -> float:
    """Estimate the seconds of one network's epoch on a GPU."""
    channels, height, width = protocol.input_shape
    megapixels = protocol.epochs * protocol.dataset.train * height * width / 1e6
    return SECONDS_PER_MEGAPIXEL * megapixels * channels / 3


def weights_gb(count: float) -> float:
    """Return the memory of so many parameters in half precision."""
    return count * 2 / 1e9


def serving_gb(weights: float) -> float:
    """Estimate the GPU memory that serves a model: its weights, some requests' keys and values, and the process."""
    return max(1.3 * weights, weights + 1)


def largest(gb: float) -> float:
    """Return the number of parameters of the largest model that so much memory serves."""
    return max(0.0, min(gb / 1.3, gb - 1)) / 2 * 1e9


def training_gb(weights: float, *, quantised: bool) -> float:
    """Estimate the GPU memory that tunes a model. What is beside its weights grows with its width, up to 7 billion."""
    beside = 1.5 + 10.5 * min(1, math.sqrt(weights / 14))
    return (0.3 if quantised else 1.2) * weights + beside


def slot_gb(protocol: Protocol) -> float:
    """Estimate the GPU memory that one candidate needs: the images, its activations, its weights and its process."""
    data = protocol.dataset.train * math.prod(protocol.dataset.shape) / 1e9
    _, height, width = protocol.input_shape
    activations = protocol.batch * height * width * BYTES_PER_PIXEL / 1e9
    return CONTEXT_GB + CANDIDATE_GB + data + activations


def parameters(base_model: str) -> float:
    """Read the number of parameters off the model's name; 0 where it does not tell."""
    found = _SIZE.search(base_model)
    return float(found[1]) * _UNITS[found[2].lower()] if found else _PARAMETERS.get(base_model, 0.0)


def parameters_of(base_model: str) -> float:
    """Count the parameters of a model that is here, else read them off its name."""
    folder = folder_of(base_model)
    files = sorted(folder.glob("*.safetensors")) if folder else []
    return float(sum(map(_parameters_in, files))) or parameters(base_model)


def folder_of(base_model: str) -> Path | None:
    """Return the folder that holds a model's files on this machine, if there is one."""
    try:
        where = Path(models.locate(base_model))
    except NotFound:
        return None
    if where.is_dir():
        return where
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(base_model, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def positions(base_model: str) -> int | None:
    """Read how many tokens a model on this machine takes at most; None where its files do not tell."""
    folder = folder_of(base_model)
    try:
        config = json.loads((folder / "config.json").read_text()) if folder else {}
        return int(config["max_position_embeddings"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _parameters_in(file: Path) -> int:
    """Count by the header of a file in the format safetensors; 0 for a file that has none."""
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.read(min(_HEADER_BYTES, int.from_bytes(stream.read(_LENGTH_BYTES), "little"))))
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return 0


def pair_passes(spec: RunSpec, bootstrap: int) -> float:
    """Count how often an answer is gone through, over all trainings; a frozen run has that before its first cycle."""
    first = bootstrap * spec.training.passes(bootstrap) if bootstrap else 0.0
    if spec.frozen:
        return first
    again = bootstrap if spec.bootstrap is not None and spec.bootstrap.replay else 0
    admitted = min(ADMITTED, spec.candidates)
    earlier = [admitted * cycle for cycle in range(spec.cycles - 1)]
    limit = spec.selection.replay
    pairs = [again + admitted + (count if limit is None else min(limit, count)) for count in earlier]
    return first + _ANSWERS[spec.training.method] * sum(size * spec.training.passes(size) for size in pairs if size)


def _trained_tokens(spec: RunSpec, bootstrap: int, answer: int) -> float:
    return pair_passes(spec, bootstrap) * (prompt_tokens(spec) + answer)
