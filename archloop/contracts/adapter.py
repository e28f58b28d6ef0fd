"""The manifest of a LoRA adapter: written last, so that an adapter with a manifest is complete."""

from typing import Annotated, Literal

from pydantic import Field

from archloop.contracts.base import Frozen, Sha256, absent
from archloop.contracts.numbers import Amount, Count, Curve, Measure, Whole
from archloop.contracts.texts import LongText, Name
from archloop.contracts.values import BlobRef

# vLLM has slots for these only, and TGI pads others with a wrong scale.
Rank = Literal[8, 16, 32, 64]
Method = Literal["sft", "dpo", "negatives"]


class Probe(Frozen):
    """The trainer's fingerprint: greedy decoding of `prompt` with the adapter and, to tell them apart, without it.

    A server serves the adapter if it answers `text`, with the summed log-probability of its tokens within
    `tolerance` of `logprob`, and the base model does not.
    """

    prompt: LongText
    max_new_tokens: Count
    text: LongText
    logprob: Measure
    base_text: LongText
    base_logprob: Measure
    tolerance: Amount = 0.01


class LoraShape(Frozen):
    """The rank, scale and target modules of an adapter, which a server must be able to serve."""

    r: Count
    alpha: Count
    target_modules: Annotated[tuple[Name, ...], Field(max_length=1000)]


class BatchShape(Frozen):
    """How a step's pairs were batched: what each of `processes` took at once, and how often.

    It is less at once than was asked for after running out of memory; 0 is unknown.
    """

    batch_size: Whole = 0
    accumulation: Count = 1
    processes: Count = 1


class AdapterManifest(Frozen):
    """Everything needed to verify, serve and reproduce one adapter version; `method` says what was learnt from.

    `loss_curve` has a point for every few steps, `token_curve` the tokens trained on until then. `job_sha256` is of
    everything that was asked for: equal for the same training, and null where an earlier version wrote the manifest.
    """

    schema_version: Count = 1
    adapter: Name
    base_model: Name
    base_sha256: Sha256
    parent: Name | None = None
    lora: LoraShape
    files: Annotated[dict[Name, BlobRef], Field(max_length=100)]
    pairs_sha256: Sha256
    pair_count: Whole
    seed: Whole
    epochs: Whole
    loss_curve: Curve = ()
    steps: Whole = 0
    token_curve: Annotated[tuple[Whole, ...], Field(max_length=100_000)] = ()
    quantization: Name = "none"
    method: Annotated[Method, absent("sft")] = "sft"
    batch: BatchShape = BatchShape()
    libraries: Annotated[dict[Name, Name], Field(max_length=1000)] = Field(default_factory=dict)
    probe: Probe
    job_sha256: Sha256 | None = None
