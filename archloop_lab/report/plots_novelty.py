"""Figures of what was invented: how unlike the networks are to each other, and to what the LLM was tuned on."""

from archloop.contracts.values import Family
from archloop_lab.report.figure import INK, SERIES, Drawing, drawing
from archloop_lab.report.primitives import Run, band, cloud, control, interval, line, mark, series, stacked, words
from archloop_lab.report.view import similarities_of

_FAMILIES = (*(family for family in Family if family is not Family.PLAIN), Family.PLAIN)
_VERDICTS = ("novel", "near_duplicate", "exact_duplicate")
_COPY = "a near copy begins"


def memorization(run: Run) -> str:
    """Draw quartiles of the similarity to the nearest training example; nothing if no LLM was tuned."""
    if not any(cycle.memorization_median is not None for cycle in run.cycles):
        return ""
    with drawing("memorization") as d:
        low, high = "memorization_low_quartile", "memorization_high_quartile"
        band(d, run, low, high, label="middle half of the networks")
        line(d, run, "memorization_median", "median", 0)
        line(d, run, "memorization_untuned_median", "the untuned LLM's", 7)
        line(d, run, "memorization_share_ge_threshold", "near copies", 3)
        mark(d, run.summary.spec.novelty.threshold, _COPY)
        d.axes.set_ylabel("similarity; share of near copies")
        d.axes.set_ylim(-0.02, 1.02)
        d.cycles(run.numbers)
        return d.svg()


def diversity(run: Run) -> str:
    """Draw the diversity of the valid and of the admitted of each cycle."""
    if not any(cycle.diversity_valid is not None for cycle in run.cycles):
        return ""
    with drawing("diversity") as d:
        line(d, run, "diversity_valid", "valid", 0)
        line(d, run, "diversity_admitted", "admitted", 2)
        control(d, run, "diversity_valid")
        d.axes.set_ylabel("mean distance between two networks")
        d.axes.set_ylim(-0.02, 1.02)
        d.cycles(run.numbers)
        return d.svg()


def novelty_rate(run: Run) -> str:
    """Draw the novelty rate with its Wilson interval."""
    if not any(cycle.novelty_rate is not None for cycle in run.cycles):
        return ""
    with drawing("novelty-rate") as d:
        interval(d, run, "novelty_rate", "novel", 2)
        control(d, run, "novelty_rate")
        d.percent("novel, of the valid")
        d.cycles(run.numbers)
        return d.svg()


def novelty(run: Run) -> str:
    """Draw the verdicts on the valid candidates."""
    colours = dict(zip(_VERDICTS, (SERIES[2], SERIES[6], SERIES[3]), strict=True))
    tallies = [{verdict: cycle.measure(verdict) for verdict in _VERDICTS} for cycle in run.cycles]
    return stacked("novelty", run, tallies, _VERDICTS, colours, "valid candidates")


def similarities(run: Run) -> str:
    """Draw every judged candidate as a point."""
    groups = {n: similarities_of(run.candidates, n) for n in run.numbers}
    return cloud("similarity", groups, (run.summary.spec.novelty.threshold, _COPY), "Jaccard similarity")


def families(run: Run) -> str:
    """Draw shares of the admitted by family, and their entropy; cycles that admitted nothing are left out."""
    tallies = {float(cycle.cycle): cycle.families for cycle in run.cycles if cycle.families}
    shown = [name for name in _FAMILIES if any(tally.get(name) for tally in tallies.values())]
    if not shown:
        return ""
    shares = {n: [tally.get(name, 0) / sum(tally.values()) for name in shown] for n, tally in tallies.items()}
    if len(shares) == 1:  # an area needs a width
        shares = {n + side: share for n, share in shares.items() for side in (-0.3, 0.3)}
    with drawing("families") as d:
        colours = [SERIES[_FAMILIES.index(name)] for name in shown]
        areas = list(zip(*shares.values(), strict=True))
        d.axes.stackplot(list(shares), areas, labels=map(words, shown), colors=colours, alpha=0.8, linewidth=0)
        _entropy(d, run)
        d.percent("of the admitted")
        d.cycles(run.numbers)
        return d.svg(columns=4)


def _entropy(d: Drawing, run: Run) -> None:
    right = d.axes.twinx()
    right.plot(run.numbers, series(run.cycles, "family_entropy_bits"), "o-", color=INK, markersize=3.5, linewidth=1.4)
    right.set_ylim(0, 3.05)
    right.set_ylabel("entropy, bits (line)")
    right.grid(visible=False)
