"""docs/results/differential.md and its data from what `differential.py` has recorded."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.differential_pairs import MISSING, Line, Pair, difference, explanation, plain_word, read

RESULT, PAGE = Path("benchmarks/results/differential.jsonl"), Path("docs/results/differential.md")
EXAMPLES = 3
UNEXPLAINED = "**unexplained**"
HEAD = """# Does the evaluator treat a network as LEMUR would?

By `benchmarks/differential.py`: networks of LEMUR (package `nn-dataset` 2.1.2, `ab/nn/nn/*.py`) through two programs
that share nothing but torch. The *plain loop* does what LEMUR's `Train.py` does: import the file, build `Net`,
`train_setup`, `learn` with a progress bar as the loader, evaluate. The *evaluator* is the real one with its sandbox.
Same images, hyper-parameters, seed, one thread. What differs is a fault of the evaluator, or stands below with its
reason. Every pair of outcomes is in [JSON lines](../../benchmarks/results/differential.jsonl).
"""
BATCH = """## {title}

{intro}

- {networks:,} networks, {missing:,} of which need a package other than torch, numpy and theirs, and are left out.
- {pairs:,} went through both sides.
- **{same:,} are the same on both: trained by both, to as many parameters; or failed by the same exception; or stopped
  by a limit, or not finite, on both.**
- **{explained:,} differ for a reason below, {unexplained:,} without one.**

{outcomes}

{differences}
"""
EPOCH = """## A whole epoch

{pairs} networks, drawn at random from those that the first part trained within a second of CPU time, on 256 images of
32 x 32 in batches of 16, scored on 100 others and tested on 100 more. {above} of them reach more than 1.2 x chance in
the plain loop; {outcomes_differ} have no score by the evaluator.

{table}

Differences are of validation accuracy. *Seeds* compares the plain loop with itself under another seed: what chance
alone does. **{same} networks have exactly the same accuracy on both splits by both sides.** The mean difference between
evaluator and plain loop is {mean:+.4f} with a standard error of {error:.4f}.

{far}
"""
TITLES = {
    "batch": ("One batch", "Built, trained on one batch of four images of 32 x 32, tried on four more."),
    "larger": (
        "One larger batch",
        """What was built in the first part but could not be trained, most often because pooling left nothing of 32 x 32
pixels, once more with images of 64 x 64.""",
    ),
}
TAIL = """## What this does not show

- The plain loop imitates LEMUR's trainer; LEMUR's own run would also download data and weights, and load with workers.
- One batch says that a network runs, not that its score is right; only the epoch compares scores.
- Hyper-parameters that the protocol does not name are 0.5 on both sides, where LEMUR draws them at random.
- Networks for other tasks (detection, segmentation, text) fail on both sides, each at its first error.
- Agreement in errors is agreement in the first one.
"""


def pairs(folder: Path) -> list[Pair]:
    """Those that went through both sides."""
    plain, ours = read(folder / "plain-0.jsonl"), read(folder / "ours.jsonl")
    return [Pair(name, plain[name], line) for name, line in sorted(ours.items()) if name in plain]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows))


def reason(pair: Pair) -> str:
    """Why the sides differ; empty where they do not."""
    if difference(pair) is None:
        return ""
    known = explanation(pair)
    return known.title if known else UNEXPLAINED


def outcomes(many: Sequence[Pair]) -> str:
    """How often which outcome met which."""
    counts = Counter((plain_word(pair.plain), pair.ours["outcome"]) for pair in many)
    rows = [(plain, ours, f"{count:,}") for (plain, ours), count in counts.most_common()]
    return table(["plain loop", "evaluator", "networks"], rows)


def differences(many: Sequence[Pair]) -> str:
    """By reason, with examples; the unexplained first."""
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in many:
        if title := reason(pair):
            groups[title, str(difference(pair))].append(pair)
    order = sorted(groups.items(), key=lambda group: (group[0][0] != UNEXPLAINED, -len(group[1])))
    rows = [(title, kind, len(group), _why(group[0]), _examples(group)) for (title, kind), group in order]
    return table(["reason", "plain loop / evaluator", "networks", "why", "examples"], rows) if rows else ""


def _why(pair: Pair) -> str:
    known = explanation(pair)
    return known.why if known else _escaped(f"{pair.plain.get('detail', '')} / {pair.ours['detail']}")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")[:160]


def _examples(group: Sequence[Pair]) -> str:
    return ", ".join(f"`{pair.name.partition('/')[2]}`" for pair in group[:EXAMPLES])


def batch(mode: str, folder: Path) -> str:
    """The section of one of the modes that ask for no accuracy."""
    plain, many = read(folder / "plain-0.jsonl"), pairs(folder)
    reasons = Counter(map(reason, many))
    title, intro = TITLES[mode]
    return BATCH.format(
        title=title,
        intro=intro,
        networks=len(plain),
        missing=sum(plain_word(line) == MISSING for line in plain.values()),
        pairs=len(many),
        same=reasons[""],
        unexplained=reasons[UNEXPLAINED],
        explained=sum(count for title, count in reasons.items() if title not in ("", UNEXPLAINED)),
        outcomes=outcomes(many),
        differences=differences(many),
    )


def epoch(folder: Path) -> str:
    """The section that compares accuracies, with the plain loop's own under two seeds for a measure."""
    every = [pair for pair in pairs(folder) if "accuracy" in pair.plain]
    many = list(filter(_scored, every))
    other = read(folder / "plain-1.jsonl")
    between = [pair.ours["accuracy"] - pair.plain["accuracy"] for pair in many]
    seeds = [other[p.name]["accuracy"] - p.plain["accuracy"] for p in many if "accuracy" in other.get(p.name, {})]
    far = [pair for pair, gap in zip(many, between, strict=True) if abs(gap) > max(map(abs, seeds), default=0.0)]
    rows = [(name, *_spread(gaps)) for name, gaps in (("evaluator – plain loop", between), ("seeds", seeds)) if gaps]
    return EPOCH.format(
        pairs=len(every),
        outcomes_differ=len(every) - len(many) or "none",
        above=sum(pair.plain["accuracy"] > 0.12 for pair in many),
        same=sum(_same_accuracy(pair) for pair in many),
        table=table(["difference", "networks", "median, absolute", "90 %", "largest", "mean"], rows),
        mean=statistics.fmean(between),
        error=statistics.stdev(between) / len(between) ** 0.5 if len(between) > 1 else 0.0,
        far=f"Farther apart than any two seeds: {_examples(far)}."
        if far
        else "No network is farther apart than seeds are.",
    )


def _scored(pair: Pair) -> bool:
    return "accuracy" in pair.plain and pair.ours.get("accuracy") is not None


def _spread(gaps: Sequence[float]) -> tuple[object, ...]:
    size = sorted(map(abs, gaps))
    high = size[min(len(size) - 1, int(0.9 * len(size)))]
    return len(gaps), *(f"{v:.3f}" for v in (statistics.median(size), high, size[-1])), f"{statistics.fmean(gaps):+.3f}"


def _same_accuracy(pair: Pair) -> bool:
    """To the image; the plain loop's means are in single precision."""
    return all(abs(pair.ours[key] - pair.plain[key]) < 1e-6 for key in ("accuracy", "test_accuracy"))


def compact(mode: str, pair: Pair) -> Line:
    """One line of the published data: both outcomes, and what is told where they differ."""
    line: Line = {"mode": mode, "name": pair.name, "plain": plain_word(pair.plain), "ours": pair.ours["outcome"]}
    if mode == "epoch":
        line["accuracy"] = [pair.plain.get("accuracy"), pair.ours.get("accuracy")]
    if title := reason(pair):
        line |= {"reason": title.strip("*"), "told": [pair.plain.get("detail", ""), pair.ours["detail"]]}
    return line


def write(work: Path, out: Path) -> None:
    """The page, and a line for every pair."""
    found = {mode: pairs(work / mode) for mode in ("batch", "larger", "epoch")}
    sections = [batch(mode, work / mode) for mode in TITLES if found[mode]]
    sections += [epoch(work / "epoch")] if any(map(_scored, found["epoch"])) else []
    lines = [json.dumps(compact(mode, pair)) for mode, many in found.items() for pair in many]
    for path, text in ((out / RESULT, "\n".join(lines)), (out / PAGE, "\n".join([HEAD, *sections, TAIL]).rstrip())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
