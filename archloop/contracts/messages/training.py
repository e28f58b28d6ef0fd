"""Messages about tuning the LLM: trainings, and the adapters that come of them."""

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from archloop.contracts.base import Message
from archloop.contracts.numbers import NUMBER, Amount, Curve, Seed, Whole
from archloop.contracts.texts import Name, Remark
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import AdapterRef, BlobRef

BOOTSTRAP = -1  # the cycle before the first, in which nothing is written
TunedAfter = Annotated[int, Field(ge=BOOTSTRAP, le=2**31), NUMBER]


class TrainingRequested(Message):
    """Command: tune on these pairs, JSON lines of {"prompt", "completion"}, continuing the parent adapter.

    Lines may have a "rejected" answer to the same prompt. `dpo` learns from those alone that have one.

    `cycle` is the one after which that is, or -1 for the pairs that a run begins with.
    """

    name = "training.requested"
    identified_by = ("cycle",)
    cycle: TunedAfter
    adapter: Name
    base_model: Name
    parent: AdapterRef | None = None
    pairs: BlobRef
    pair_count: Whole
    training: TrainingSpec
    seed: Seed

    @property
    @override
    def trace_root(self) -> str:
        """Itself: a training has a trace of its own."""
        return self.id


class AdapterTrained(Message):
    """A new adapter lies in the object store, complete. `cycle` is that of the request.

    `token_curve` has the tokens trained on until each point of `loss_curve`; there were `steps` steps. `seconds` are
    those of the whole job and `tokens_per_second` that of the training proper; both 0 where it was found done.
    """

    name = "adapter.trained"
    identified_by = ("cycle",)
    cycle: TunedAfter
    adapter: AdapterRef
    pair_count: Whole
    loss_curve: Curve = ()
    token_curve: Annotated[tuple[Whole, ...], Field(max_length=100_000)] = ()
    steps: Whole = 0
    seconds: Amount = 0.0
    tokens_per_second: Amount = 0.0


class TrainingRejected(Message):
    """The trainer cannot make the adapter as it was asked to, for the reason given: damaged pairs or too little memory.

    The registry makes the pairs again and asks once more, and ends the run with the reason where it does so in vain.
    """

    name = "training.rejected"
    identified_by = ("cycle",)
    cycle: TunedAfter
    reason: Remark


class AdapterActivated(Message):
    """A generator replica proved the adapter by its fingerprint and serves it."""

    name = "adapter.activated"
    identified_by = ("adapter", "replica")
    adapter: Name
    replica: Name


class AdapterRejected(Message):
    """A generator replica refused the adapter and keeps what it had."""

    name = "adapter.rejected"
    identified_by = ("adapter", "replica")
    adapter: Name
    replica: Name
    reason: Remark
