"""docs/benchmarks.md from the results of `evaluator.py`."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

UNTRAINED = ("parse", "contract", "build", "shape")
NO_FLAW_IN_CODE = ("below_chance", "diverged", "timeout")
Round = dict[str, dict[str, float]]

HEAD = """# Benchmarks of the evaluator

What a verdict on novelty costs is [on a page of its own](results/novelty-index.md). So are
[answers of a small LLM on a processor](results/modelserver.md), [tuning it there](results/trainer.md) and
[what only a GPU can prove](results/gpu.md).

By `benchmarks/evaluator.py`; numbers in [JSON](../benchmarks/results/evaluator.json). Medians of {rounds} round(s), the
lowest and highest in brackets. Methods alternate within a round, so that whatever else the machine does meets all of
them, and ratios are taken within a round. {cores} cores.
"""

OVERHEAD = """## Against a bare loop

The same network (three convolutions), data (`shapes`, one epoch of 150 batches), batches and one thread, once through
the evaluator and its sandbox and once in a plain loop: source to predictions of the 1,200 held-out images, in a fresh
process that has torch imported and one optimiser used, so that neither pays for those. The evaluator also checks the
source, tries the shapes, confines a process, scores. The bare loop runs with the allocator's thresholds that the fork
server sets, and with glibc's own.

{table}

Targets: at most 1.3 for a net of about a second, 1.05 for one of about ten. Accuracy is the same by all three in {same}
of {rounds} rounds.

{reference}"""

REFERENCE = """### Against the reference

{name}, the evaluation that LEMUR's authors publish: `check_nn(…, save_to_db=False)` on the same source and
images, batch, epoch and one thread, glibc's own allocator. Its process is fresh each time; `process` has start and
imports in it, `call` has not. The reference also lints the source with pylint and, for its score of code quality,
trains two batches of eight images of 224 x 224; two columns say how long that takes. Its database is left empty, else
its first import takes minutes. PyPI's torchvision is built for another torch; only its transforms are used, which need
no compiled code.

{table}
"""

START = """## Start

| what, ms | median | 95 % | target |
|---|---|---|---|
{rows}

A candidate says by the machine's monotonic clock when its first line ran: after the fork, its confinement, parsing and
the contract. `job` is from the order to the answer in hand for source that does not parse, `child` what the fork server
measured of it, `evaluation` what a caller waits, with the held-out images shuffled and shared. {count} of each.
"""

REJECTED = """## Rejected before training

Every candidate of {runs} run(s) that was not ok, evaluated again: {count}. Milliseconds are what a caller waits: of
each candidate the median of the rounds, of those again the median, the least and the most.

| outcome | candidates | before training | median, ms |
|---|---|---|---|
{rows}

| of | candidates | before training | median, ms |
|---|---|---|---|
{shares}

Target: 90 % of the invalid before training, at a median of 25 ms. What is `below_chance`, `diverged` or `timeout` can
only be known by training; the second line leaves those out.
"""

SLOTS = """## Slots

| slots | candidates a minute |
|---|---|
{rows}

Two slots do {ratio} times the work of one; the target is 1.8 on two cores.
"""


def middle(values: Iterable[float], form: str = ".2f") -> str:
    """The median, lowest and highest."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):{form}} [{ordered[0]:{form}}–{ordered[-1]:{form}}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def ratio(rounds: Sequence[Round], method: str, to: str, key: str = "wall") -> str:
    return middle(one[method][key] / one[to][key] for one in rounds)


def overhead(figures: dict[str, Any]) -> str:
    nets: dict[str, list[Round]] = figures["nets"]
    rounds = [one for many in nets.values() for one in many]
    methods = ("archloop", "bare", "bare, plain allocator")
    same = sum(len({round(one[method]["accuracy"], 6) for method in methods}) == 1 for one in rounds)
    head = ("net", "÷ bare, wall", "÷ bare, CPU", "÷ plain, wall", "÷ plain, CPU", *(f"{name}, s" for name in methods))
    rows = [(name, *_against_bare(many), *_seconds(many, methods)) for name, many in nets.items()]
    reference = _reference(figures["reference"], nets)
    return OVERHEAD.format(table=table(head, rows), same=same, rounds=len(rounds), reference=reference)


def _against_bare(rounds: Sequence[Round]) -> list[str]:
    return [ratio(rounds, "archloop", to, key) for to in ("bare", "bare, plain allocator") for key in ("wall", "cpu")]


def _seconds(rounds: Sequence[Round], methods: Iterable[str]) -> list[str]:
    return [middle(one[method]["wall"] for one in rounds) for method in methods]


def _reference(name: str | None, nets: dict[str, list[Round]]) -> str:
    if name is None:
        return "The reference path was not measured: no folder for its environment was given (`--reference`).\n"
    keys = ("wall", "process", "run_pylint", "dynamic_evaluation")
    ratios = ("call ÷ archloop", "the same, CPU", "the same without pylint", "process ÷ archloop")
    seconds = ("call, s", "process, s", "of it pylint, s", "of it 224 px, s", "archloop, s")
    rows = [
        (net, *_against_ours(many), *_parts(many, keys), *_seconds(many, ["archloop"])) for net, many in nets.items()
    ]
    return REFERENCE.format(name=name, table=table(("net", *ratios, *seconds), rows))


def _parts(rounds: Sequence[Round], keys: Iterable[str]) -> list[str]:
    return [middle(one["reference"][key] for one in rounds) for key in keys]


def _against_ours(rounds: Sequence[Round]) -> list[str]:
    pairs = [(one["reference"], one["archloop"]["wall"]) for one in rounds]
    lean = middle((theirs["wall"] - theirs["run_pylint"]) / ours for theirs, ours in pairs)
    process = middle(theirs["process"] / ours for theirs, ours in pairs)
    return [*(ratio(rounds, "reference", "archloop", key) for key in ("wall", "cpu")), lean, process]


def start(figures: list[dict[str, list[float]]]) -> str:
    names = {"first line": "order to the candidate's first line", "job": "job that ends at parsing", "child": "child",
             "evaluation": "evaluation that ends at parsing"}  # fmt: skip
    rows = [_start_row(what, [one[name] for one in figures], name == "first line") for name, what in names.items()]
    return START.format(rows="\n".join(rows), count=sum(len(one["job"]) for one in figures))


def _start_row(what: str, rounds: list[list[float]], aimed: bool) -> str:
    medians = middle(map(statistics.median, rounds), ".1f")
    high = statistics.quantiles([value for one in rounds for value in one], n=20)[-1]
    return f"| {what} | {medians} | {high:.1f} | {'40' if aimed else ''} |"


def rejected(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "## Rejected before training\n\nNot measured: no run was given (`--run`).\n"
    candidates = [one for one in figures["candidates"] if one["outcome"] != "ok"]
    outcomes = Counter(one["outcome"] for one in candidates)
    rows = [
        _share(outcome, [c for c in candidates if c["outcome"] == outcome]) for outcome, _ in outcomes.most_common()
    ]
    flawed = [one for one in candidates if one["outcome"] not in NO_FLAW_IN_CODE]
    shares = [_share("all that are not ok", candidates), _share("flawed in code", flawed)]
    return REJECTED.format(runs=figures["runs"], count=len(candidates), rows="\n".join(rows), shares="\n".join(shares))


def _share(what: str, candidates: list[dict[str, Any]]) -> str:
    early = [statistics.median(one["ms"]) for one in candidates if one["stage"] in UNTRAINED]
    share = f"{100 * len(early) / len(candidates):.0f} %" if candidates else "–"
    return f"| {what} | {len(candidates)} | {share} | {middle(early, '.1f') if early else '–'} |"


def slots(figures: list[dict[str, float]]) -> str:
    rows = [f"| {count} | {middle((one[count] for one in figures), '.1f')} |" for count in ("1", "2")]
    return SLOTS.format(rows="\n".join(rows), ratio=middle(one["2"] / one["1"] for one in figures))


SECTIONS: dict[str, Callable[[Any], str]] = {
    "overhead": overhead,
    "start": start,
    "rejected": rejected,
    "slots": slots,
}


def page(result: dict[str, Any]) -> str:
    """What has been measured, in the order of the parts."""
    parts = [name for name in SECTIONS if name in result]
    counts = sorted({result[name]["rounds"] for name in parts})
    head = HEAD.format(rounds=" or ".join(map(str, counts)), cores=result[parts[0]]["cores"])
    loads = ", ".join(f"{name} {result[name]['load before']:.2f}" for name in parts)
    sections = (SECTIONS[name](result[name]["figures"]) for name in parts)
    return "\n".join([head, *sections, f"Load average before each part: {loads}.\n"])
