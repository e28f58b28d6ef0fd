"""What the report shows, read from a run's summary and candidates in their JSON form.

A field that is missing or null is shown as unknown: reports of unfinished runs, and of older ones, are reports too.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

Json = Mapping[str, Any]
UNKNOWN = "–"
SHOWN = 8
_NONE: Mapping[Any, Any] = MappingProxyType({})


class Control(NamedTuple):
    """A frozen run that a run is shown beside: its summary, and its candidates where they are at hand."""

    summary: Json
    candidates: Sequence[Json] = ()


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
    code: str


def number(value: float | None, digits: int = 3) -> str:
    """A fixed number of digits, or the sign for unknown."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """A whole number, with thin spaces between thousands."""
    return UNKNOWN if value is None else f"{value:,.0f}".replace(",", "\u2009")


def duration(seconds: float | None) -> str:
    """Minutes and seconds."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def facts(summary: Json, candidates: Sequence[Json], manifest: Json) -> list[tuple[str, str]]:
    """The run in a few lines: what was asked for, how it was measured, and on what."""
    spec, machine, model = summary.get("spec") or {}, manifest.get("machine") or {}, manifest.get("base_model") or {}
    levels = sorted({e["sandbox_level"] for c in candidates if (e := c.get("evaluation")) and e.get("sandbox_level")})
    hashes = sorted({e["protocol_sha256"] for c in candidates if (e := c.get("evaluation")) and "protocol_sha256" in e})
    took = summary.get("seconds")
    ended = "finished" if summary.get("reason") == "completed" else summary.get("reason") or summary.get("status")
    found = {
        "run": summary.get("run_id"),
        "state": f"{ended}, after {duration(took)}" if ended and took is not None else ended,
        "started": str(summary.get("created") or "")[:19].replace("T", " ") or None,
        "preset": spec.get("preset"),
        "size": f"{spec.get('cycles')} cycles × {spec.get('candidates')} candidates" if spec else None,
        "seed": spec.get("seed"),
        "protocol": " ".join([str(spec.get("protocol", "")), *(f"({digest[:12]})" for digest in hashes)]).strip(),
        "language model": f"{spec.get('base_model', '')} {str(model.get('sha256', ''))[:12]}".strip(),
        "tuning": spec and ("none: frozen control" if spec.get("frozen") else "LoRA after every cycle"),
        "sandbox": ", ".join(levels),
        "machine": ", ".join(str(machine[k]) for k in ("system", "processor") if machine.get(k)),
        "cores": machine.get("cores"),
        "archloop": manifest.get("archloop"),
    }
    return [(label, str(value)) for label, value in found.items() if value not in (None, "", {})]


def tiles(summary: Json, control: Control | None) -> list[Tile]:
    """First against last of the closed cycles."""
    runs = (summary, control.summary if control else _NONE)
    cycles, other = ([c for c in cycles_of(run) if c.get("closed", True)] for run in runs)
    if not cycles:
        return []
    threshold = percent(selection_threshold(summary)).replace(".0", "")
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
    return [_tile(label, key, form, direction, cycles, other) for label, key, form, direction in shown]


def _tile(
    label: str, key: str, form: Any, direction: bool | None, cycles: Sequence[Json], other: Sequence[Json]
) -> Tile:
    first, last = cycles[0].get(key), cycles[-1].get(key)
    change = None if first is None or last is None else last - first
    sign = "" if change is None else f"{'+' if change >= 0 else '−'}{form(abs(change))}"
    better = None if direction is None or not change else (change > 0) == direction
    ended = form(other[-1][key]) if other and other[-1].get(key) is not None else ""
    return Tile(label, form(first), form(last), sign.replace(" %", " points"), better, ended)


def cycles_of(summary: Json) -> list[Json]:
    """The cycles in their order, open ones too; those without a single candidate are left out."""
    cycles = [c for c in summary.get("cycles") or () if c.get("generated")]
    return sorted(cycles, key=lambda cycle: int(cycle.get("cycle", 0)))


def selection_threshold(summary: Json) -> float:
    """The accuracy that counts as good in this run."""
    return float(((summary.get("spec") or {}).get("selection") or {}).get("threshold", 0.4))


def novelty_threshold(summary: Json) -> float:
    """The similarity from which on a candidate is a near copy."""
    return float(((summary.get("spec") or {}).get("novelty") or {}).get("threshold", 0.85))


def novelty_scope(summary: Json) -> str:
    """What a candidate is compared with."""
    scope = ((summary.get("spec") or {}).get("novelty") or {}).get("scope", "run")
    return "of any run" if scope == "global" else "of this run"


def values(candidates: Sequence[Json], cycle: int, part: str, key: str) -> list[float]:
    """One measurement of every candidate of the cycle that has it."""
    parts = (c.get(part) or {} for c in candidates if c.get("cycle") == cycle)
    return [p[key] for p in parts if p.get(key) is not None and p.get("outcome", "ok") == "ok"]


def showcase(candidates: Sequence[Json]) -> list[str]:
    """Ids of the architectures that the report shows with their code: the most accurate admitted ones."""
    return [str(c["candidate_id"]) for c in ranked(candidates)[:SHOWN]]


def ranked(candidates: Sequence[Json]) -> list[Json]:
    """The admitted, the most accurate first."""
    admitted = [c for c in candidates if c.get("admitted") and (c.get("evaluation") or {}).get("accuracy") is not None]
    return sorted(admitted, key=lambda c: (-c["evaluation"]["accuracy"], c.get("cycle"), c.get("index")))


def best(summary: Json, candidates: Sequence[Json], codes: Mapping[str, str]) -> list[Best]:
    """The architectures of the showcase."""
    places = {c["candidate_id"]: f"cycle {c.get('cycle')}, no. {c.get('index')}" for c in candidates}
    parents = _parents(summary)
    return [_best(rank, c, places, parents, codes) for rank, c in enumerate(ranked(candidates)[:SHOWN], 1)]


def _best(rank: int, c: Json, places: Mapping[str, str], parents: Mapping[str, str], codes: Mapping[str, str]) -> Best:
    evaluation, judgement, adapter = c["evaluation"], c.get("judgement") or {}, c.get("adapter")
    nearest = judgement.get("nearest")
    return Best(
        rank=rank,
        where=places[c["candidate_id"]],
        accuracy=number(evaluation["accuracy"]),
        test_accuracy=number(evaluation.get("test_accuracy")),
        family=str(judgement.get("family", UNKNOWN)).replace("_", " "),
        parameters=count(evaluation.get("parameters")),
        similarity=number(judgement.get("similarity"), 2),
        nearest=places.get(nearest, "another run") if nearest else "none before it",
        adapter=adapter or "the base model",
        parent=parents.get(adapter, "the base model") if adapter else "",
        code=codes.get(c["candidate_id"], ""),
    )


def lineage(summary: Json, trainings: Mapping[int, Json] = _NONE) -> list[dict[str, str]]:
    """The versions of the LLM, oldest first: what each was tuned on and for how long, and what its cycle came to."""
    versions, pairs, training = [], None, _NONE
    for cycle in cycles_of(summary):
        versions.append(
            {
                "adapter": cycle.get("adapter") or "base model",
                "cycle": str(cycle["cycle"]),
                "pairs": count(pairs),
                **_training(training),
                "valid": percent(cycle.get("valid_rate")),
                "accuracy": number(cycle.get("mean_accuracy")),
            }
        )
        pairs, training = cycle.get("pairs"), trainings.get(int(cycle["cycle"]), _NONE)
    return versions


def _training(training: Json) -> dict[str, str]:
    """How an adapter came about: steps, tokens and how many of them a second, the loss from first to last."""
    losses, tokens = training.get("loss_curve") or (), (training.get("token_curve") or (None,))[-1]
    seconds = training.get("seconds")
    return {
        "steps": count(training.get("steps") or None),
        "tokens": count(tokens),
        "speed": count(tokens / seconds if tokens and seconds else None),
        "loss": f"{number(losses[0], 2)} → {number(losses[-1], 2)}" if losses else UNKNOWN,
    }


def _parents(summary: Json) -> dict[str, str]:
    adapters = list(dict.fromkeys(c["adapter"] for c in cycles_of(summary) if c.get("adapter")))
    return dict(zip(adapters[1:], adapters, strict=False))
