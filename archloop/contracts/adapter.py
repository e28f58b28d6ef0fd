"""The manifest of a LoRA adapter: written last, so that an adapter with a manifest is complete."""

from typing import Annotated

from pydantic import Field

from archloop.contracts.base import Frozen, Sha256
from archloop.contracts.values import BlobRef


class Probe(Frozen):
    """The trainer's fingerprint: greedy decoding of `prompt` with the adapter and, to tell them apart, without it.

    A server serves the adapter if it answers `text`, with the summed log-probability of its tokens within
    `tolerance` of `logprob`, and the base model does not.
    """

    prompt: str
    max_new_tokens: Annotated[int, Field(ge=1)]
    text: str
    logprob: float
    base_text: str
    base_logprob: float
    tolerance: float = 0.01


class LoraShape(Frozen):
    """What a server must be able to serve."""

    r: int
    alpha: int
    target_modules: tuple[str, ...]


class BatchShape(Frozen):
    """How a step's pairs were taken: what each of `processes` took at once, and how often.

    Less at once than was asked for after out of memory; 0 is unknown.
    """

    batch_size: int = 0
    accumulation: int = 1
    processes: int = 1


class AdapterManifest(Frozen):
    """Everything needed to verify, serve and reproduce one adapter version.

    `loss_curve` has a point for every few steps, `token_curve` the tokens trained on until then.
    """

    schema_version: int = 1
    adapter: str
    base_model: str
    base_sha256: Sha256
    parent: str | None = None
    lora: LoraShape
    files: dict[str, BlobRef]
    pairs_sha256: Sha256
    pair_count: int
    seed: int
    epochs: int
    loss_curve: tuple[float, ...] = ()
    steps: int = 0
    token_curve: tuple[int, ...] = ()
    quantization: str = "none"
    batch: BatchShape = BatchShape()
    libraries: dict[str, str] = Field(default_factory=dict)
    probe: Probe
