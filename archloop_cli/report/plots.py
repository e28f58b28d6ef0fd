"""The report's figures: each takes the run in its JSON form and answers with one SVG, or nothing to show."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.ticker import EngFormatter, ScalarFormatter

from archloop_cli.report.figure import INK, MUTED, SERIES, Drawing, drawing
from archloop_cli.report.marks import Run, band, cloud, control, line, mark, series, stacked, words
from archloop_cli.report.view import novelty_threshold, selection_threshold, values

OUTCOMES = (
    "ok",
    "below_chance",
    "diverged",
    "train_error",
    "shape_error",
    "build_error",
    "contract_error",
    "syntax_error",
    "out_of_memory",
    "timeout",
    "crashed",
    "forbidden",
)
FAMILIES = ("residual", "dense", "inception", "depthwise", "squeeze_excite", "attention", "gated", "plain")
_LABELS = 8
_STEPS = ("generate", "evaluate", "judge", "train")
_VERDICTS = ("novel", "near_duplicate", "exact_duplicate")


class Plot(NamedTuple):
    """A figure and what to read from it."""

    title: str
    caption: str
    svg: str


def all_plots(run: Run) -> list[Plot]:
    """Every figure for which the run has data."""
    if not run.cycles:
        return []
    drawn = (Plot(title, caption, draw(run)) for title, caption, draw in _PLOTS)
    return [plot for plot in drawn if plot.svg]


def valid_rate(run: Run) -> str:
    """With its Wilson interval."""
    with drawing("valid") as d:
        band(d, run, "valid_rate_low", "valid_rate_high")
        line(d, run, "valid_rate", "valid rate", 0)
        control(d, run, "valid_rate")
        d.percent()
        d.cycles(run.numbers)
        return d.svg()


def accuracy(run: Run) -> str:
    """Mean with its interval, median and best."""
    with drawing("accuracy") as d:
        band(d, run, "mean_accuracy_low", "mean_accuracy_high")
        line(d, run, "best_accuracy", "best", 2)
        line(d, run, "mean_accuracy", "mean", 0)
        line(d, run, "median_accuracy", "median", 1)
        control(d, run, "mean_accuracy")
        mark(d, selection_threshold(run.summary))
        d.axes.set_ylim(0, 1.02)
        d.cycles(run.numbers)
        return d.svg()


def good_share(run: Run) -> str:
    """Over the trained ones, as the paper has it, and over all."""
    with drawing("share") as d:
        line(d, run, "share_ge_threshold_trained", "of trained", 0)
        line(d, run, "share_ge_threshold_generated", "of generated", 1)
        control(d, run, "share_ge_threshold_trained")
        d.percent()
        d.cycles(run.numbers)
        return d.svg()


def distribution(run: Run) -> str:
    """Every valid candidate as a point, the shape of the distribution behind."""
    groups = {n: values(run.candidates, n, "evaluation", "accuracy") for n in run.numbers}
    return cloud("distribution", groups, selection_threshold(run.summary))


def similarities(run: Run) -> str:
    """Every judged candidate as a point."""
    groups = {n: values(run.candidates, n, "judgement", "similarity") for n in run.numbers}
    return cloud("similarity", groups, novelty_threshold(run.summary))


def outcomes(run: Run) -> str:
    """How every candidate ended."""
    tallies = [cycle.get("outcomes") or {} for cycle in run.cycles]
    shown = [name for name in OUTCOMES if any(tally.get(name) for tally in tallies)]
    colours = dict(zip(OUTCOMES, (SERIES[2], *SERIES[3:], *SERIES[:2]), strict=False))
    return stacked("outcomes", run, tallies, shown, colours)


def novelty(run: Run) -> str:
    """Verdicts on the valid candidates."""
    return stacked(
        "novelty", run, run.cycles, _VERDICTS, dict(zip(_VERDICTS, (SERIES[2], SERIES[6], SERIES[3]), strict=True))
    )


def families(run: Run) -> str:
    """Shares of the admitted by family, and the entropy of these; cycles that admitted nothing are left out."""
    tallies = {float(cycle["cycle"]): cycle["families"] for cycle in run.cycles if cycle.get("families")}
    shown = [name for name in FAMILIES if any(tally.get(name) for tally in tallies.values())]
    if not shown:
        return ""
    shares = {n: [tally.get(name, 0) / sum(tally.values()) for name in shown] for n, tally in tallies.items()}
    if len(shares) == 1:  # an area needs a width
        shares = {n + side: share for n, share in shares.items() for side in (-0.3, 0.3)}
    with drawing("families") as d:
        colours = [SERIES[FAMILIES.index(name)] for name in shown]
        areas = list(zip(*shares.values(), strict=True))
        d.axes.stackplot(list(shares), areas, labels=map(words, shown), colors=colours, alpha=0.8, linewidth=0)
        _entropy(d, run)
        d.percent()
        d.cycles(run.numbers)
        return d.svg(columns=4)


def seconds(run: Run) -> str:
    """Wall time of each step; steps overlap."""
    spans = [cycle.get("seconds") or {} for cycle in run.cycles]
    if not any(span.get("total") for span in spans):
        return ""
    with drawing("seconds") as d:
        width = 0.8 / len(_STEPS)
        for place, step in enumerate(_STEPS):
            heights = [span.get(step) or 0 for span in spans]
            at = [n + (place - 1.5) * width for n in run.numbers]
            d.axes.bar(at, heights, width * 0.9, label=step, color=SERIES[place])
        left, right = ([n + side for n in run.numbers] for side in (-0.42, 0.42))
        d.axes.hlines(series(spans, "total"), left, right, color=INK, linewidth=1.3, label="whole cycle")
        d.axes.set_ylabel("seconds")
        d.cycles(run.numbers)
        return d.svg()


def loss(run: Run) -> str:
    """Of each training, one after the other: over the tokens where they are known, over steps where not."""
    curves = [(int(c["cycle"]), c.get("loss_curve") or ()) for c in run.cycles]
    curves = [(number, curve) for number, curve in curves if len(curve) > 1]
    if not curves:
        return ""
    tokens = {number: (run.trainings.get(number) or {}).get("token_curve") or () for number, _ in curves}
    known = all(len(tokens[number]) == len(curve) for number, curve in curves)
    with drawing("loss") as d:
        start = 0.0
        for place, (number, curve) in enumerate(curves):
            along = [start + at for at in (tokens[number] if known else range(1, len(curve) + 1))]
            d.axes.plot(along, curve, color=SERIES[place % 2], linewidth=1.3)
            if place % -(-len(curves) // _LABELS) == 0:
                _label(d, (start + along[-1]) / 2, f"after {number}")
            start = along[-1]
        d.axes.set_ylim(bottom=0)
        d.axes.set_xlabel("tokens trained on, all trainings" if known else "optimisation steps, all trainings")
        d.axes.xaxis.set_major_formatter(EngFormatter(sep="") if known else ScalarFormatter())
        d.axes.set_ylabel("training loss")
        return d.svg()


def _label(d: Drawing, at: float, text: str) -> None:
    """Above the axes."""
    over = d.axes.get_xaxis_transform()
    d.axes.text(at, 1.0, text, transform=over, ha="center", va="bottom", color=MUTED, fontsize=8)


def _entropy(d: Drawing, run: Run) -> None:
    right = d.axes.twinx()
    right.plot(run.numbers, series(run.cycles, "family_entropy_bits"), "o-", color=INK, markersize=3.5, linewidth=1.4)
    right.set_ylim(0, 3.05)
    right.set_ylabel("entropy, bits (line)")
    right.grid(visible=False)


_PLOTS: tuple[tuple[str, str, Callable[[Run], str]], ...] = (
    ("Valid rate", "Trained and above chance, of all generated; nothing is repaired. Band: Wilson 95 %.", valid_rate),
    (
        "Accuracy of valid candidates",
        "One epoch, validation split. Band: 95 % interval of the mean. Dotted: the threshold of selection.",
        accuracy,
    ),
    ("Share at or above the threshold", "Of the trained, as the paper counts, and of all generated.", good_share),
    (
        "Accuracy, every valid candidate",
        "A point each; the bar is the median, the dotted line the threshold of selection.",
        distribution,
    ),
    ("Outcomes", "How every candidate ended.", outcomes),
    ("Novelty", "Verdicts on the valid candidates.", novelty),
    (
        "Similarity to what came before",
        "Exact Jaccard similarity to the nearest earlier valid candidate. At the dotted line a near copy begins.",
        similarities,
    ),
    ("Structural families", "Of the admitted, read from their code.", families),
    ("Where the time goes", "Wall seconds from the first to the last event of a step; steps overlap.", seconds),
    (
        "Training loss",
        "The LLM's own, in nats per token of the answers, one training after the other.",
        loss,
    ),
)
