"""Trials of adapters: what each is asked to write before one follows the other, and how well it did."""

from typing import NamedTuple

from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import GenerationRequested
from archloop.contracts.values import AdapterRef
from services.registry.records import Run
from services.registry.requests import derived_seed
from services.registry.store import Store

_PREFIX = "trial-"


class Standing(NamedTuple):
    """Of one adapter: what it has yet to write or have evaluated, and the share of valid ones among all."""

    missing: list[GenerationRequested]
    valid_rate: float


def belongs(message: Message) -> bool:
    """Whether it is about a network that was written for a trial: such a one stands outside the cycles."""
    return isinstance(message, CandidateMessage) and (message.submission or "").startswith(_PREFIX)


def requests(run: Run, adapter: AdapterRef | None) -> list[GenerationRequested]:
    """The same prompts and seeds for every adapter of the run, and for the base model."""
    spec = run.spec
    name = adapter.adapter if adapter else "base"
    return [
        GenerationRequested(
            run_id=run.run_id,
            index=index,
            submission=f"{_PREFIX}{name}-{index}",
            seed=derived_seed("trial", spec.seed, index),
            protocol=spec.protocol,
            generation=spec.generation,
            novelty=spec.novelty,
            base_model=spec.base_model,
            adapter=adapter,
        )
        for index in range(spec.gate.candidates if spec.gate else 0)
    ]


async def standing(store: Store, run: Run, adapter: AdapterRef | None) -> Standing:
    """How far the adapter has come."""
    asked = requests(run, adapter)
    rows = [await store.candidate(request.candidate_id) for request in asked]
    missing = [each for each, row in zip(asked, rows, strict=True) if row is None or row.evaluation is None]
    return Standing(missing, sum(row is not None and row.valid for row in rows) / len(asked))
