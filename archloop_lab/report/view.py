"""What the report shows, read from a run's summary and candidates.

What is null is shown as unknown: reports of unfinished runs, and of older ones, are reports too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from archloop.numerals import UNKNOWN, count, duration, number, percent
from archloop_lab.report import versions
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.acts import told
from services.registry.records import COMPLETED, Candidate

Json = Mapping[str, Any]
SHOWN = 8
_LEARNT = {"sft": "", "dpo": ", by preferences (DPO)", "negatives": ", with rejected answers as bad ones"}


class Control(NamedTuple):
    """A frozen run that a run is shown beside: its summary, and its candidates where they are at hand."""

    summary: AnalysedSummary
    candidates: Sequence[Candidate] = ()


class Tile(NamedTuple):
    """A headline number: first and last cycle, the change between them, and the control's last."""

    label: str
    first: str
    last: str
    change: str
    better: bool | None
    control: str


class Best(NamedTuple):
    """One of the best architectures, with its lineage."""

    rank: int
    where: str
    accuracy: str
    test_accuracy: str
    family: str
    parameters: str
    similarity: str
    nearest: str
    adapter: str
    parent: str
    edits: str
    code: str


def facts(summary: AnalysedSummary, candidates: Sequence[Candidate], manifest: Json) -> list[tuple[str, str]]:
    """Tell the run in a few lines: what was asked for, how it was measured, and on what."""
    spec, machine, model = summary.spec, manifest.get("machine") or {}, manifest.get("base_model") or {}
    evaluations = [candidate.evaluation for candidate in candidates if candidate.evaluation]
    levels = sorted({evaluation.sandbox_level.value for evaluation in evaluations})
    hashes = sorted({evaluation.protocol_sha256 for evaluation in evaluations})
    ended = "finished" if summary.reason == COMPLETED else summary.reason or summary.status
    found = {
        "run": summary.run_id,
        "state": ended if summary.seconds is None else f"{ended}, after {duration(summary.seconds)}",
        "started": f"{summary.created:%Y-%m-%d %H:%M:%S}",
        "preset": spec.preset,
        "size": f"{spec.cycles} cycles × {spec.candidates} candidates",
        "seed": spec.seed,
        "protocol": " ".join([spec.protocol, *(f"({digest[:12]})" for digest in hashes)]),
        "language model": f"{spec.base_model} {str(model.get('sha256', ''))[:12]}".strip(),
        "tuning": "none: frozen control" if spec.frozen else f"LoRA after every cycle{_LEARNT[spec.training.method]}",
        "stopped early": _stopped(summary.totals.stopped),
        "sandbox": ", ".join(levels),
        "machine": ", ".join(str(machine[k]) for k in ("system", "processor") if machine.get(k)),
        "cores": machine.get("cores"),
        "placement": _on_gpus(manifest),
        "archloop": manifest.get("archloop"),
    }
    return [(label, str(value)) for label, value in found.items() if value not in (None, "", {})]


def _stopped(many: int) -> str:
    return f"{count(many)}, after a part of the training; accuracies are of the others" if many else ""


def _on_gpus(manifest: Json) -> str:
    """Tell what did which work, of a run of which a GPU did some."""
    lines = [": ".join(line) for line in (manifest.get("placement") or {}).get("plan", ())]
    return "; ".join(lines) if any(" GPU " in line for line in lines) else ""


def tiles(summary: AnalysedSummary, control: Control | None) -> list[Tile]:
    """Compare the first with the last of the closed cycles."""
    cycles, other = summary.closed, control.summary.closed if control else []
    if not cycles:
        return []
    threshold = percent(summary.spec.selection.threshold).replace(".0", "")
    shown = [
        ("valid rate", "valid_rate", percent, True),
        ("mean accuracy", "mean_accuracy", number, True),
        ("best accuracy", "best_accuracy", number, True),
        (f"share ≥ {threshold} of trained", "share_ge_threshold_trained", percent, True),
        (f"share ≥ {threshold} of generated", "share_ge_threshold_generated", percent, True),
        ("novelty rate", "novelty_rate", percent, True),
        ("families among the admitted", "family_count", count, True),
        ("family entropy, bits", "family_entropy_bits", lambda value: number(value, 2), None),
        ("diversity of the valid", "diversity_valid", lambda value: number(value, 2), None),
        ("memorization, median", "memorization_median", lambda value: number(value, 2), None),
    ]
    floors = {"best_accuracy": summary.confirmation.floor or 0.0 if summary.confirmation else 0.0}
    return [_tile(label, key, form, way, cycles, other, floors.get(key, 0.0)) for label, key, form, way in shown]


def _tile(
    label: str,
    key: str,
    form: Any,
    direction: bool | None,
    cycles: Sequence[AnalysedCycle],
    other: Sequence[AnalysedCycle],
    floor: float,
) -> Tile:
    first, last = cycles[0].measure(key), cycles[-1].measure(key)
    unlike = key == "mean_accuracy" and bool(cycles[0].stopped or cycles[-1].stopped)
    change = None if first is None or last is None or unlike else last - first
    sign = "" if change is None else f"{'+' if change >= 0 else '−'}{form(abs(change))}"
    better = None if direction is None or not change or abs(change) <= floor else (change > 0) == direction
    ended = other[-1].measure(key) if other else None
    told = "" if ended is None else form(ended)
    return Tile(label, form(first), form(last), sign.replace(" %", " points"), better, told)


def accuracies(candidates: Sequence[Candidate], cycle: int | None = None) -> list[float]:
    """List those of the valid candidates, of one cycle or of all."""
    valid = (c.evaluation for c in candidates if cycle in (None, c.cycle) and c.evaluation and c.valid)
    return [evaluation.accuracy for evaluation in valid if evaluation.accuracy is not None]


def similarities_of(candidates: Sequence[Candidate], cycle: int) -> list[float]:
    """List those of the judged candidates of a cycle."""
    return [c.judgement.similarity for c in candidates if c.cycle == cycle and c.judgement]


def showcase(candidates: Sequence[Candidate]) -> list[str]:
    """Name the architectures that the report shows with their code, by id: the most accurate admitted ones."""
    return [candidate.candidate_id for candidate in ranked(candidates)[:SHOWN]]


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """List the admitted, the most accurate first."""
    found = [
        (-c.evaluation.accuracy, c.cycle or 0, c.index or 0, c)
        for c in candidates
        if c.admitted and c.evaluation and c.evaluation.accuracy is not None
    ]
    return [candidate for *_, candidate in sorted(found, key=lambda each: each[:3])]


def best(summary: AnalysedSummary, candidates: Sequence[Candidate], codes: Mapping[str, str]) -> list[Best]:
    """Describe the architectures of the showcase."""
    places = {c.candidate_id: f"cycle {c.cycle}, no. {c.index}" for c in candidates}
    parents = versions.parents(summary)
    return [_best(rank, c, places, parents, codes) for rank, c in enumerate(ranked(candidates)[:SHOWN], 1)]


def _best(
    rank: int, c: Candidate, places: Mapping[str, str], parents: Mapping[str, str], codes: Mapping[str, str]
) -> Best:
    evaluation, judgement = c.evaluation, c.judgement
    assert evaluation is not None
    nearest = judgement.nearest if judgement else None
    return Best(
        rank=rank,
        where=places[c.candidate_id],
        accuracy=number(evaluation.accuracy),
        test_accuracy=number(evaluation.test_accuracy),
        family=judgement.family.replace("_", " ") if judgement else UNKNOWN,
        parameters=count(evaluation.parameters),
        similarity=number(judgement.similarity if judgement else None, 2),
        nearest=places.get(nearest, "another run") if nearest else "none before it",
        adapter=c.adapter or (f"none: {c.submitter} gave it" if c.submitter else "the base model"),
        parent=parents.get(c.adapter, "the base model") if c.adapter else "",
        edits=places.get(c.parent, "a network of another run") if c.parent else "",
        code=codes.get(c.candidate_id, ""),
    )


def acts(summary: AnalysedSummary) -> list[dict[str, str]]:
    """List what people did to the run: when, who, what, and which cycle took it up."""
    planned = [
        {"at": "", "who": each.act.who, "what": str(told(each.act)), "cycle": str(each.cycle)}
        for each in summary.spec.steering
    ]
    done = [
        {
            "at": f"{each.at:%Y-%m-%d %H:%M:%S}" if each.at else "",
            "who": each.who,
            "what": str(each),
            "cycle": "" if each.cycle is None else str(each.cycle),
        }
        for each in summary.acts
    ]
    return planned + done
