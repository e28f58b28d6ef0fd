"""What the trace of a candidate that was admitted has to hold, at a deployment and within one process alike."""

from collections.abc import Iterable, Sequence

from tests.servers.collector import Collector, Traced

Called = tuple[str, str]

# Each hop beside its parent; the other services are as `registry`, which hears everything.
HOPS: dict[Called, Called | None] = {
    ("registry", "send generation.requested"): None,
    ("registry", "process generation.requested"): ("registry", "send generation.requested"),
    ("generator", "process generation.requested"): ("registry", "send generation.requested"),
    ("generator", "generate"): ("generator", "process generation.requested"),
    ("generator", "send candidate.generated"): ("generator", "process generation.requested"),
    ("registry", "process candidate.generated"): ("generator", "send candidate.generated"),
    ("evaluator", "process candidate.generated"): ("generator", "send candidate.generated"),
    ("evaluator", "evaluate"): ("evaluator", "process candidate.generated"),
    ("evaluator", "train"): ("evaluator", "evaluate"),
    ("evaluator", "send candidate.evaluated.ok"): ("evaluator", "process candidate.generated"),
    ("registry", "process candidate.evaluated.ok"): ("evaluator", "send candidate.evaluated.ok"),
    ("novelty", "process candidate.evaluated.ok"): ("evaluator", "send candidate.evaluated.ok"),
    ("novelty", "compare"): ("novelty", "process candidate.evaluated.ok"),
    ("registry", "process candidate.judged"): ("novelty", "send candidate.judged"),
    ("registry", "admit"): ("registry", "send generation.requested"),
}
# By the arrival that released it: the candidate's own, or another's, which the root then has a link to.
RELEASED: Called = ("novelty", "send candidate.judged")
RELEASERS: set[Called] = {
    ("novelty", "process candidate.evaluated.ok"),
    ("registry", "send generation.requested"),
}
TUNING: dict[Called, Called | None] = {
    ("registry", "send training.requested"): None,
    ("trainer", "process training.requested"): ("registry", "send training.requested"),
    ("trainer", "tune"): ("trainer", "process training.requested"),
    ("trainer", "publish adapter"): ("trainer", "process training.requested"),
    ("trainer", "send adapter.trained"): ("trainer", "process training.requested"),
    ("generator", "process adapter.trained"): ("trainer", "send adapter.trained"),
    ("generator", "activate adapter"): ("generator", "process adapter.trained"),
    ("generator", "send adapter.activated"): ("generator", "process adapter.trained"),
}


def begun(collector: Collector, name: str) -> list[Traced]:
    """The roots of the traces that begin with a message of this name."""
    return [span for span in collector.spans if span.name == f"send {name}" and not span.parent]


def roots(collector: Collector, candidates: Iterable[str]) -> list[Traced]:
    """The root of each candidate's trace."""
    by_id = {span.facts["archloop.candidate"]: span for span in begun(collector, "generation.requested")}
    return [by_id[candidate] for candidate in candidates]


def parents(trace: Sequence[Traced]) -> dict[Called, set[Called | None]]:
    """For each kind of span, what its parents are called; None where one has none."""
    called = {span.span_id: span.called for span in trace}
    found: dict[Called, set[Called | None]] = {}
    for span in trace:
        found.setdefault(span.called, set()).add(called[span.parent] if span.parent else None)
    return found


def check_whole(collector: Collector, root: Traced, hops: dict[Called, Called | None]) -> None:
    """Every hop is in the root's trace, as the child of the one before."""
    found = parents(collector.of(root.trace_id))
    assert {hop: found.get(hop) for hop in hops} == {hop: {parent} for hop, parent in hops.items()}


def check_admitted(collector: Collector, candidates: Sequence[str]) -> None:
    """Every one of these candidates has one trace from the request for it to its admission."""
    assert candidates
    for root in roots(collector, candidates):
        check_whole(collector, root, HOPS)
        trace = collector.of(root.trace_id)
        assert parents(trace)[RELEASED] <= RELEASERS
        named = {span.facts.get("archloop.candidate", root.facts["archloop.candidate"]) for span in trace}
        assert named == {root.facts["archloop.candidate"]}


def check_tuned(collector: Collector) -> None:
    """Every training has one trace from the request to the adapter that answers."""
    trainings = begun(collector, "training.requested")
    assert trainings
    for root in trainings:
        check_whole(collector, root, TUNING)
