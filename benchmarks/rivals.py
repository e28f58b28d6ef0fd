"""Keeps what the study of rivals came to for the docs: its report and tables, the course of each run, a picture.

    archloop study rivals --out STUDY
    python benchmarks/rivals.py STUDY

The tables of docs/results/rivals.md are printed; what they say is written by hand.
"""

import argparse
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from archloop_lab.files import write_csv
from archloop_lab.study import plan, results
from archloop_lab.study.page import value
from archloop_lab.study.results import METRICS, Result

KEPT, IMAGE = Path("docs/results/rivals"), Path("docs/images/rivals.svg")
SHOWN = ("so_far", "finally", "best_accuracy", "mean_accuracy", "valid_rate", "unique", "entropy", "tokens")
# What nothing is learnt in is grey, dashed; the loop's forms have colours.
STYLES = {
    "frozen": ("#8b949e", ":"),
    "frozen-memory": ("#8b949e", "-."),
    "frozen-edits": ("#8b949e", "--"),
    "evolution": ("#24292f", "-"),
    "loop": ("#1f6feb", "-"),
    "memory": ("#8250df", "-"),
    "edits": ("#1a7f37", "-"),
    "together": ("#cf222e", "-"),
    "dpo": ("#d29922", "-"),
}


def courses(found: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """Yield the steps of every run: who led at the end of a cycle, and what that one is worth on other seeds."""
    for each in found:
        for step in each.course.steps if each.course else ():
            yield {"variant": each.variant, "seed": each.seed, **step.model_dump(exclude={"candidate"})}


def cycles(found: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """Yield how each run went, cycle by cycle."""
    keys = ("valid_rate", "mean_accuracy", "best_accuracy", "novel", "unique_total", "tokens")
    for each in found:
        for cycle in each.summary.closed:
            row = {"variant": each.variant, "seed": each.seed, "cycle": cycle.cycle}
            yield row | {key: cycle.measure(key) for key in keys}


def table(found: Sequence[Result], variants: Sequence[str]) -> str:
    """Return means over the seeds with their intervals, a row for each variant."""
    metrics = [metric for key in SHOWN for metric in METRICS if metric.key == key]
    head = [["mean over seeds", *(metric.label for metric in metrics)], ["---", *["--:"] * len(metrics)]]
    return lined([*head, *([v, *(value(m, results.estimate(found, v, m)) for m in metrics)] for v in variants)])


def winners(found: Sequence[Result], study: plan.Study) -> str:
    """Return who wins by what."""
    won = ([w.metric.label, w.variant, *(", ".join(n) or "–" for n in w[2:])] for w in results.winners(found, study))
    return lined([["by", "best mean", "beats", "does not beat"], ["---"] * 4, *won])


def lined(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows as a table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(found: Sequence[Result], variants: Sequence[str]) -> None:
    """Draw the confirmed best so far and the mean accuracy, means over the seeds."""
    with plt.rc_context(
        {"svg.hashsalt": "rivals", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, (best, mean) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        lines(best, found, variants, lambda r: [step.accuracy for step in r.course.steps] if r.course else [])
        lines(mean, found, variants, lambda r: [cycle.measure("mean_accuracy") for cycle in r.summary.closed])
        best.set_title("Best so far, on three other seeds", loc="left")
        mean.set_title("Mean accuracy of the valid", loc="left")
        figure.legend(*best.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(IMAGE, metadata={"Date": None})


def lines(
    axes: Axes, found: Sequence[Result], variants: Sequence[str], of: Callable[[Result], Sequence[float | None]]
) -> None:
    for variant in variants:
        runs = [of(each) for each in found if each.variant == variant]
        known = [[height for height in column if height] for column in zip(*runs, strict=False)]
        heights = [fmean(column) if column else float("nan") for column in known]
        colour, style = STYLES[variant]
        axes.plot(range(1, len(heights) + 1), [100 * h for h in heights], style, color=colour, label=variant)
    axes.set_xlabel("cycles of 32 candidates")
    axes.yaxis.set_major_formatter(lambda height, _: f"{height:.0f} %")
    axes.grid(axis="y", alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="directory of the study")
    directory = parser.parse_args().study
    study = plan.load("rivals")
    found = results.read(list(study.cells()), directory)
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in ("report.html", "runs.csv", "differences.csv"):
        shutil.copy(directory / name, KEPT / name)
    write_csv(KEPT / "courses.csv", list(courses(found)))
    write_csv(KEPT / "cycles.csv", list(cycles(found)))
    draw(found, list(study.variants))
    print(table(found, list(study.variants)), winners(found, study), sep="\n\n")


if __name__ == "__main__":
    main()
