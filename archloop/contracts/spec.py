"""What a run is asked to be. The field names are those of the preset files."""

import math
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from archloop.contracts.base import Frozen
from archloop.contracts.values import AdapterRef

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(Frozen):
    """Written by people, so a misspelt field is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GenerationSpec(_Strict):
    """How the LLM is asked: prompt template and decoding."""

    template: str = "brief"
    temperature: Annotated[float, Field(gt=0, le=2)] = 0.9
    top_p: Annotated[float, Field(gt=0, lt=1)] = 0.98
    top_k: Annotated[int, Field(ge=1)] | None = None
    max_new_tokens: Count = 512


class NoveltySpec(_Strict):
    """When two architectures are the same: verified Jaccard similarity at or above `threshold`."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.85
    scope: Literal["run", "global"] = "run"


class SelectionSpec(_Strict):
    """Which novel candidates are admitted, and become training pairs (paper section 3; facts: fallback rule).

    Admitted: novel with accuracy >= `threshold`; if those are fewer than `minimum`, the next best novel
    ones down to `fallback_threshold`. Of the admitted, at most `quota` per structural family are
    trained on in a cycle, so that one family cannot take over; `replay` best earlier pairs are added.
    """

    threshold: Share = 0.40
    fallback_threshold: Share = 0.35
    minimum: Annotated[int, Field(ge=0)] = 15
    quota: Count = 8
    replay: Annotated[int, Field(ge=0)] = 96

    @model_validator(mode="after")
    def _fallback_is_below(self) -> Self:
        if self.fallback_threshold > self.threshold:
            raise ValueError("fallback_threshold must not exceed threshold")
        return self


class TrainingSpec(_Strict):
    """LoRA hyper-parameters (peft names) and the optimisation around them.

    Few pairs are gone through more often than `epochs`, until `minimum_steps` are made. A step sees `batch_size` x
    `accumulation` pairs, on however many GPUs. `warmup_steps` null is a tenth of the steps. `quantization: nf4` is
    QLoRA: the base model in 4 bits, doubly quantised, and AdamW in 8 bits; the adapter is served on the base as it is.
    """

    method: Literal["lean", "trl"] = "lean"
    quantization: Literal["none", "nf4"] = "none"
    r: Literal[8, 16, 32, 64] = 16
    alpha: Count = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    epochs: Count = 3
    minimum_steps: Annotated[int, Field(ge=0)] = 0
    batch_size: Count = 8
    accumulation: Count = 1
    gradient_checkpointing: bool = False
    max_length: Count = 1024

    @property
    def effective_batch(self) -> int:
        """The pairs of one step."""
        return self.batch_size * self.accumulation

    def passes(self, pairs: int) -> int:
        """How often so many pairs, at least one, are gone through."""
        return max(self.epochs, math.ceil(self.minimum_steps / math.ceil(pairs / self.effective_batch)))

    def steps(self, pairs: int) -> int:
        """How many steps so many pairs make."""
        return self.passes(pairs) * math.ceil(pairs / self.effective_batch)

    def warm_up(self, pairs: int) -> int:
        """The steps over which the learning rate rises: by default a tenth, none in very short trainings."""
        return self.steps(pairs) // 10 if self.warmup_steps is None else self.warmup_steps

    @model_validator(mode="after")
    def _lean_is_plain(self) -> Self:
        if self.method == "lean" and (self.quantization != "none" or self.gradient_checkpointing):
            raise ValueError("quantization and gradient_checkpointing need method: trl")
        return self


class BudgetSpec(_Strict):
    """What a run may spend; null is without limit. It ends at the first limit reached.

    `tokens` are read and written ones, `cost` is by the generator's prices, `evaluator_seconds` are those in which
    candidates ran, `wall_seconds` count from the request. What is under way then is still settled and counted.
    """

    candidates: Count | None = None
    tokens: Count | None = None
    cost: Annotated[float, Field(gt=0)] | None = None
    evaluator_seconds: Annotated[float, Field(gt=0)] | None = None
    wall_seconds: Annotated[float, Field(gt=0)] | None = None

    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        return self.model_dump(exclude_none=True)


class GateSpec(_Strict):
    """Champion and challenger: a new adapter writes the next cycle only if it is no worse than the one that it follows.

    Both write `candidates` networks to the same prompts and seeds, which are the same for the whole run; the new one's
    valid rate must not be lower by more than `margin`. They enter no cycle, and no budget.
    """

    candidates: Count = 16
    margin: Share = 0.0


class RunSpec(_Strict):
    """A run: `cycles` times `candidates`, all of it derived from `seed`.

    The first cycle is written by the base model with `adapter`, if there is one; a frozen run's cycles all are.
    """

    preset: str = "custom"
    cycles: Annotated[int, Field(ge=1, le=10_000)]
    candidates: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    protocol: str
    base_model: str = "tiny"
    adapter: AdapterRef | None = None
    frozen: bool = False
    generation: GenerationSpec = GenerationSpec()
    novelty: NoveltySpec = NoveltySpec()
    selection: SelectionSpec = SelectionSpec()
    training: TrainingSpec = TrainingSpec()
    gate: GateSpec | None = None
    budget: BudgetSpec = BudgetSpec()

    @model_validator(mode="after")
    def _adapter_is_of_the_base_model(self) -> Self:
        if self.adapter is not None and self.adapter.base_model != self.base_model:
            raise ValueError(f"the adapter was tuned on {self.adapter.base_model!r}, not on {self.base_model!r}")
        return self
