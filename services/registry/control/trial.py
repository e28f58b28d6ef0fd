"""Trials of adapters: the candidates that each writes before one may replace the other, and how many are valid."""

import asyncio

from archloop.contracts.base import CandidateMessage, Message, candidate_id
from archloop.contracts.messages import GenerationRequested
from archloop.contracts.values import AdapterRef
from services.registry.control.requests import derived_seed
from services.registry.records import Candidate, Run, Step
from services.registry.stores.port import Store

_PREFIX = "trial-"
_AT_ONCE = 100


def belongs(message: Message) -> bool:
    """Return whether the message is about a candidate of a trial, which stands outside the cycles."""
    return isinstance(message, CandidateMessage) and (message.submission or "").startswith(_PREFIX)


def scope(adapter: AdapterRef | None) -> str:
    """Return the name of the adapter's trial within the run."""
    return f"{_PREFIX}{adapter.adapter if adapter else 'base'}"


def place(message: CandidateMessage) -> tuple[str, int | None]:
    """Return the trial that the candidate belongs to, and its index there."""
    name, _, index = (message.submission or "").rpartition("-")
    return name, int(index) if index.isascii() and index.isdigit() and len(index) < 10 else None


def request(run: Run, adapter: AdapterRef | None, index: int) -> GenerationRequested:
    """Ask for a candidate, with the same prompt and seed for every adapter of the run, and for the base model."""
    spec = run.spec
    return GenerationRequested(
        run_id=run.run_id,
        run_uid=run.uid,
        index=index,
        submission=f"{scope(adapter)}-{index}",
        seed=derived_seed("trial", spec.seed, index),
        protocol=spec.protocol,
        generation=spec.generation,
        novelty=spec.novelty,
        base_model=spec.base_model,
        adapter=adapter,
    )


async def open_steps(store: Store, run: Run, adapter: AdapterRef | None, below: int) -> dict[int, Step]:
    """Return the steps of candidates with a lower index that are not yet written and evaluated."""
    rows = await _rows(store, run, adapter, below)
    return {i: "generation" for i, row in enumerate(rows) if row is None or row.evaluation is None}


async def valid_rate(store: Store, run: Run, adapter: AdapterRef | None, count: int) -> float:
    """Return the share of valid candidates among all."""
    return sum(row is not None and row.valid for row in await _rows(store, run, adapter, count)) / count


async def _rows(store: Store, run: Run, adapter: AdapterRef | None, count: int) -> list[Candidate | None]:
    rows = []
    for index in range(count):
        rows.append(await store.candidate(candidate_id(run.run_id, 0, 0, f"{scope(adapter)}-{index}")))
        if index % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return rows
