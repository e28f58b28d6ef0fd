"""Figures of what it cost: wall time by step, evaluator time by stage, the trainings of the LLM."""

from matplotlib.ticker import EngFormatter, ScalarFormatter

from archloop_lab.report.figure import INK, MUTED, SERIES, Drawing, drawing
from archloop_lab.report.findings import stages
from archloop_lab.report.primitives import Run, known, stacked
from services.registry.statistics import figures

STAGES = figures.Stack(
    "stages", "Where the evaluator's time goes", "By stage of an evaluation.", "seconds, summed over candidates", {}
)
_LABELS = 8


def seconds(run: Run) -> str:
    """Draw the wall time of each step; steps overlap."""
    spans: list[dict[str, float | None]] = [cycle.seconds.model_dump() for cycle in run.cycles]
    if not any(span["total"] for span in spans):
        return ""
    with drawing("seconds") as d:
        steps = figures.SECONDS.parts
        width = 0.8 / len(steps)
        for step, place in steps.items():
            heights = [span[step] or 0 for span in spans]
            at = [n + (place - 1.5) * width for n in run.numbers]
            d.axes.bar(at, heights, width * 0.9, label=step, color=SERIES[place])
        left, right = ([n + side for n in run.numbers] for side in (-0.42, 0.42))
        d.axes.hlines(
            known(span["total"] for span in spans), left, right, color=INK, linewidth=1.3, label="whole cycle"
        )
        d.axes.set_ylabel(figures.SECONDS.axis)
        d.cycles(run.numbers)
        return d.svg()


def stage_seconds(run: Run) -> str:
    """Draw what the evaluator spent on each stage of all candidates of a cycle."""
    tallies = [stages([c for c in run.candidates if c.cycle == number]) for number in run.numbers]
    shown = dict.fromkeys(stage for tally in tallies for stage in tally)
    colours = {stage: place % len(SERIES) for place, stage in enumerate(shown)}
    return stacked(run, STAGES._replace(parts=colours), tallies)


def loss(run: Run) -> str:
    """Draw one training after the other: over the tokens where they are known, over steps where not."""
    curves = [(cycle.cycle, cycle.loss_curve) for cycle in run.cycles if len(cycle.loss_curve) > 1]
    if not curves:
        return ""
    tokens = {n: run.trainings[n].token_curve if n in run.trainings else () for n, _ in curves}
    by_tokens = all(len(tokens[number]) == len(curve) for number, curve in curves)
    with drawing("loss") as d:
        start = 0.0
        for place, (number, curve) in enumerate(curves):
            along = [start + at for at in (tokens[number] if by_tokens else range(1, len(curve) + 1))]
            d.axes.plot(along, curve, color=SERIES[place % 2], linewidth=1.3)
            if place % -(-len(curves) // _LABELS) == 0:
                _label(d, (start + along[-1]) / 2, f"after {number}")
            start = along[-1]
        d.axes.set_ylim(bottom=0)
        d.axes.set_xlabel("tokens trained on, all trainings" if by_tokens else "optimisation steps, all trainings")
        d.axes.xaxis.set_major_formatter(EngFormatter(sep="") if by_tokens else ScalarFormatter())
        d.axes.set_ylabel(figures.LOSS.axis)
        return d.svg()


def _label(d: Drawing, at: float, text: str) -> None:
    """Put a label above the axes."""
    over = d.axes.get_xaxis_transform()
    d.axes.text(at, 1.0, text, transform=over, ha="center", va="bottom", color=MUTED, fontsize=8)
