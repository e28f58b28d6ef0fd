"""Figures of what was invented: how unlike the networks are to each other, and to what the LLM was tuned on."""

from archloop.contracts.values import Family
from archloop_lab.report.figure import INK, SERIES, Drawing, drawing
from archloop_lab.report.primitives import Run, band, cloud, control, line, mark, series, stacked
from archloop_lab.report.view import similarities_of
from services.registry.html import words
from services.registry.statistics import figures


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
        mark(d, run.summary.spec.novelty.threshold, figures.MARKS["copies"])
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


def novelty(run: Run) -> str:
    """Draw the verdicts on the valid candidates."""
    parts = figures.VERDICTS.parts
    return stacked(run, figures.VERDICTS, [{part: cycle.measure(part) for part in parts} for cycle in run.cycles])


def similarities(run: Run) -> str:
    """Draw every judged candidate as a point."""
    return cloud(run, figures.SIMILARITIES, {n: similarities_of(run.candidates, n) for n in run.numbers})


def families(run: Run) -> str:
    """Draw shares of the admitted by family, and their entropy; cycles that admitted nothing are left out."""
    tallies = {float(cycle.cycle): cycle.families for cycle in run.cycles if cycle.families}
    parts = map(Family, figures.FAMILIES.parts)
    shown = [name for name in parts if any(tally.get(name) for tally in tallies.values())]
    if not shown:
        return ""
    shares = {n: [tally.get(name, 0) / sum(tally.values()) for name in shown] for n, tally in tallies.items()}
    if len(shares) == 1:  # an area needs a width
        shares = {n + side: share for n, share in shares.items() for side in (-0.3, 0.3)}
    with drawing("families") as d:
        colours = [SERIES[figures.FAMILIES.parts[name]] for name in shown]
        areas = list(zip(*shares.values(), strict=True))
        d.axes.stackplot(list(shares), areas, labels=map(words, shown), colors=colours, alpha=0.8, linewidth=0)
        _entropy(d, run)
        d.percent(figures.FAMILIES.axis)
        d.cycles(run.numbers)
        return d.svg(columns=4)


def _entropy(d: Drawing, run: Run) -> None:
    right = d.axes.twinx()
    right.plot(run.numbers, series(run.cycles, "family_entropy_bits"), "o-", color=INK, markersize=3.5, linewidth=1.4)
    right.set_ylim(0, 3.05)
    right.set_ylabel("entropy, bits (line)")
    right.grid(visible=False)
