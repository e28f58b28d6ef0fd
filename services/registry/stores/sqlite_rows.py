"""SQLite rows as the registry's records."""

import json
import sqlite3
from typing import Any

from archloop.contracts.messages import AdapterTrained
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, Evaluation, SourceCode, Usage
from services.registry.acts import RecordedAct, Steered
from services.registry.records import (
    Adapter,
    Architecture,
    Candidate,
    CandidateQuery,
    Cycle,
    Event,
    Judgement,
    Loss,
    Run,
    Source,
)
from services.registry.stores.recording import words_of

_WHERE = {name: f"{name} = :{name}" for name in ("run_id", "cycle", "outcome", "verdict", "family", "parent")} | {
    "min_accuracy": "accuracy >= :min_accuracy",
    "first": "idx >= :first",
    "below": "idx < :below",
    "code": "number IN (SELECT rowid FROM code_words WHERE code_words MATCH :code)",
    "error": "number IN (SELECT rowid FROM error_words WHERE error_words MATCH :error)",
}
_ORDER = {
    "index": "cycle, idx",
    "-index": "cycle DESC, idx DESC",
    "accuracy": "accuracy IS NULL, accuracy, cycle, idx",
    "-accuracy": "accuracy IS NULL, accuracy DESC, cycle, idx",
    "similarity": "similarity IS NULL, similarity, cycle, idx",
    "-similarity": "similarity IS NULL, similarity DESC, cycle, idx",
}


def run(row: sqlite3.Row) -> Run:
    """Make a run of a row of `run_rows`."""
    acts = tuple(map(RecordedAct.model_validate, json.loads(row["acts"])))
    return Run.model_validate(dict(row) | {"spec": RunSpec.model_validate_json(row["spec"]), "acts": acts})


def cycle(row: sqlite3.Row) -> Cycle:
    """Make a cycle of a row of `cycles`."""
    adapter = AdapterRef.model_validate_json(row["adapter"]) if row["adapter"] else None
    steered = Steered.model_validate_json(row["steered"]) if row["steered"] else None
    return Cycle.model_validate(dict(row) | {"adapter": adapter, "steered": steered})


def candidate(row: sqlite3.Row) -> Candidate:
    """Make a candidate of a row of `candidate_rows`."""
    values = dict(row) | {"index": row["idx"], "admitted": row["admitted"] is not None}
    for name, kind in (("evaluation", Evaluation), ("judgement", Judgement), ("usage", Usage), ("lost", Loss)):
        values[name] = kind.model_validate_json(row[name]) if row[name] else None
    return Candidate.model_validate(values)


def source(row: sqlite3.Row) -> Source:
    """Make a source of a row of `candidates`."""
    return Source.model_validate(dict(row) | {"code": SourceCode.model_validate_json(row["code"])})


def architecture(row: sqlite3.Row) -> Architecture:
    """Make an architecture of an admitted candidate's row of `candidate_rows`."""
    evaluation = Evaluation.model_validate_json(row["evaluation"])
    measured = {name: getattr(evaluation, name) for name in ("protocol", "parameters", "flops")}
    return Architecture.model_validate(dict(row) | measured | {"index": row["idx"]})


def adapter(row: sqlite3.Row) -> Adapter:
    """Make an adapter of a row of `adapters`, joined with the adapter that wrote the cycle."""
    trained = AdapterTrained.model_validate_json(row["data"])
    parent = AdapterRef.model_validate_json(row["adapter"]).adapter if row["adapter"] else None
    return Adapter.model_validate(dict(trained) | {"parent": parent, "trained": row["trained"]})


def event(row: sqlite3.Row) -> Event:
    """Make an event of a row of `events`."""
    return Event.model_validate(dict(row) | {"data": json.loads(row["data"])})


def candidate_filter(query: CandidateQuery) -> tuple[str, dict[str, Any]]:
    """Return the WHERE clause and its values."""
    values = {name: value for name in _WHERE if (value := getattr(query, name)) is not None}
    values |= {name: _match(values[name]) for name in ("code", "error") if name in values}
    values = {name: value for name, value in values.items() if value != ""}
    return " AND ".join(_WHERE[name] for name in values) or "1", values


def _match(text: str) -> str:
    """Return what finds texts with all of these words, or with words that begin so (FTS5)."""
    return " ".join(f'"{word}"*' for word in words_of(text))


def candidate_order(query: CandidateQuery) -> str:
    """Return the ORDER BY clause, total so that pages never overlap."""
    return f"{_ORDER[query.sort]}, candidate_id"
