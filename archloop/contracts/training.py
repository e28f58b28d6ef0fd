"""What a training of the LLM is asked to be: LoRA, the optimisation around it, and what it learns from."""

import math
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from archloop.contracts.adapter import Method, Rank
from archloop.contracts.base import Strict, absent
from archloop.contracts.numbers import NUMBER, Few, Tokens

Engine = Literal["lean", "trl"]
Steps = Annotated[int, Field(ge=0, le=100_000_000), NUMBER]


class TrainingSpec(Strict):
    """LoRA hyper-parameters (peft names) and the optimisation around them.

    Few pairs are gone through more often than `epochs`, until `minimum_steps` are made. A step sees `batch_size` x
    `accumulation` pairs, on however many GPUs. `warmup_steps` null is a tenth of the steps. `quantization: nf4` is
    QLoRA: the base model in 4 bits, doubly quantised, and AdamW in 8 bits; the adapter is served on the base as it is.

    `engine` is the loop that trains. `method` says what is learnt from: chosen answers (`sft`), chosen over rejected
    answers to the same prompt by direct preference optimisation with this `beta` (`dpo`), or, as its control, chosen
    answers and rejected ones behind a prompt that says that a bad answer follows (`negatives`). An `engine` under its
    earlier name, `method`, is still read.
    """

    engine: Engine = "lean"
    method: Annotated[Method, absent("sft")] = "sft"
    beta: Annotated[float, Field(gt=0, le=100), NUMBER, absent(0.1)] = 0.1
    quantization: Literal["none", "nf4"] = "none"
    r: Rank = 16
    alpha: Few = 32
    dropout: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    learning_rate: Annotated[float, Field(gt=0, le=100), NUMBER] = 2e-3
    weight_decay: Annotated[float, Field(ge=0, le=100), NUMBER] = 0.0
    warmup_steps: Steps | None = None
    epochs: Few = 3
    minimum_steps: Steps = 0
    batch_size: Few = 8
    accumulation: Few = 1
    gradient_checkpointing: bool = False
    max_length: Tokens = 1024

    @property
    def effective_batch(self) -> int:
        """The number of pairs that one step sees."""
        return self.batch_size * self.accumulation

    def passes(self, pairs: int) -> int:
        """Return how often so many pairs, at least one, are gone through."""
        return max(self.epochs, math.ceil(self.minimum_steps / math.ceil(pairs / self.effective_batch)))

    def steps(self, pairs: int) -> int:
        """Return how many steps so many pairs make."""
        return self.passes(pairs) * math.ceil(pairs / self.effective_batch)

    def warm_up(self, pairs: int) -> int:
        """Return over how many steps the learning rate rises: by default a tenth, none in very short trainings."""
        return self.steps(pairs) // 10 if self.warmup_steps is None else self.warmup_steps

    @model_validator(mode="before")
    @classmethod
    def _engine_by_its_earlier_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("method") in get_args(Engine) and "engine" not in given:
            return {("engine" if name == "method" else name): value for name, value in given.items()}
        return given

    @model_validator(mode="after")
    def _lean_is_plain(self) -> Self:
        if self.engine == "lean" and (self.quantization != "none" or self.gradient_checkpointing):
            raise ValueError("quantization and gradient_checkpointing need engine: trl")
        return self
