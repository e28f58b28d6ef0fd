"""MongoDB documents as the registry's records, and queries in MongoDB's terms.

A candidate is one document that each step adds to, so that every step is taken in whole or not at all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from archloop.contracts.base import CandidateMessage
from services.registry.records import Adapter, Architecture, Candidate, CandidateQuery, Cycle, Event, Run, Source, Step
from services.registry.stores.recording import words_of

Document = Mapping[str, Any]
SortKeys = Sequence[tuple[str, int]]

WITHOUT_TEXT = {"code": 0, "prompt": 0, "code_words": 0, "error_words": 0}
BEST_FIRST: SortKeys = [("evaluation.accuracy", -1), ("run_id", 1), ("cycle", 1), ("index", 1)]
_UNMEASURED = "unmeasured"
_MEASURED = {"accuracy": "evaluation.accuracy", "similarity": "judgement.similarity"}
_EQUAL = {
    "run_id": "run_id",
    "cycle": "cycle",
    "outcome": "evaluation.outcome",
    "verdict": "judgement.verdict",
    "family": "judgement.family",
    "parent": "parent",
}


def run(document: Document) -> Run:
    """Make a run of a document from `runs`."""
    return Run.model_validate({**document, "run_id": document["_id"]})


def cycle(document: Document, settled: int) -> Cycle:
    """Make a cycle of a document from `cycles`, and the number of its candidates that are settled."""
    return Cycle.model_validate({**document, "settled": settled})


def cycle_key(run_id: str, cycle: int) -> str:
    """Return the `_id` of a cycle, and of the adapter that its pairs make. No run's name has a slash."""
    return f"{run_id}/{cycle}"


def blank(message: CandidateMessage) -> dict[str, Any]:
    """Make the document of a candidate of which nothing is known but its place.

    Submissions stand outside every cycle.
    """
    place = (message.cycle, message.index) if message.submission is None else (None, None)
    unknown = ("code_sha256", "code", "prompt", "adapter", "parent", "usage", "generated", "evaluation", "evaluated")
    known = {"run_id": message.run_id, "cycle": place[0], "index": place[1], "submission": message.submission}
    later = dict.fromkeys((*unknown, "judgement", "judged", "lost", "given_up", "admitted"))
    return {**known, **later, "problem": "", "settled": False}


def candidate(document: Document) -> Candidate:
    """Make a candidate of a document from `candidates`."""
    admitted = document["admitted"] is not None
    return Candidate.model_validate({**document, "candidate_id": document["_id"], "admitted": admitted})


def awaited(document: Document) -> Step:
    """Return what an unsettled candidate awaits."""
    if document["generated"] is None:
        return "generation"
    return "judgement" if document.get("evaluation") else "evaluation"


def source(document: Document) -> Source:
    """Make a source of a document from `candidates`."""
    return Source.model_validate({**document, "candidate_id": document["_id"]})


def architecture(document: Document) -> Architecture:
    """Make an architecture of an admitted candidate's document."""
    measured = {name: document["evaluation"][name] for name in ("accuracy", "protocol", "parameters", "flops")}
    judged = {name: document["judgement"][name] for name in ("family", "similarity")}
    return Architecture.model_validate({**document, **measured, **judged, "candidate_id": document["_id"]})


def adapter(document: Document) -> Adapter:
    """Make an adapter of a document from `adapters`."""
    return Adapter.model_validate(document)


def event(document: Document) -> Event:
    """Make an event of a document from `events`."""
    return Event.model_validate({**document, "seq": document["_id"]})


def candidate_filter(query: CandidateQuery) -> dict[str, Any]:
    """Return the filter of a query."""
    given = {field: getattr(query, name) for name, field in _EQUAL.items()}
    where: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if query.min_accuracy is not None:
        where["evaluation.accuracy"] = {"$gte": query.min_accuracy}
    begun = [
        {field: {"$regex": f"^{word}"}}
        for field, text in (("code_words", query.code), ("error_words", query.error))
        for word in words_of(text or "")
    ]
    if begun:
        where["$and"] = begun
    bounds = {"$gte": query.first, "$lt": query.below}
    if within := {operator: bound for operator, bound in bounds.items() if bound is not None}:
        where["index"] = within
    return where


def candidate_page(query: CandidateQuery) -> list[dict[str, Any]]:
    """Return the aggregation pipeline of a query. The order is total, so that pages never overlap."""
    direction, name = (-1 if query.sort.startswith("-") else 1), query.sort.lstrip("-")
    if name == "index":
        stages = [{"$sort": {"cycle": direction, "index": direction, "_id": 1}}]
    else:
        stages = _measured_first(_MEASURED[name], direction)
    bounds: list[dict[str, Any]] = [{"$skip": query.offset}] if query.offset else []
    if query.limit is not None:
        bounds.append({"$limit": query.limit})
    return [{"$match": candidate_filter(query)}, {"$project": WITHOUT_TEXT}, *stages, *bounds]


def _measured_first(field: str, direction: int) -> list[dict[str, Any]]:
    """Sort nulls last in both directions; MongoDB sorts them before every number."""
    missing = {"$eq": [{"$ifNull": [f"${field}", None]}, None]}
    return [
        {"$set": {_UNMEASURED: missing}},
        {"$sort": {_UNMEASURED: 1, field: direction, "cycle": 1, "index": 1, "_id": 1}},
    ]
