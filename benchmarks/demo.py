"""Does the loop learn, and does the frozen LLM not, also with a memory? Runs the demo over seeds and writes the tables.

python benchmarks/demo.py --seeds 0 1 2 --out runs/study     # runs what is not there yet; about 5 minutes a run
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import yaml
from matplotlib.ticker import MaxNLocator

from archloop import presets
from archloop_lab.study.plan import merged
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings
from services.registry.statistics.intervals import mean_interval

RESULTS, IMAGE = Path("docs/results/demo.md"), Path("docs/images/demo.svg")
HEAD = """# Results of the demo

By `benchmarks/demo.py`; metrics as in [metrics](../reference/metrics.md), scored by the
[published secret](../reference/protocols.md#held-out-images).
What the loop finds here is a fact about the protocol: nothing was planted in what
[the model](../reference/tiny-model.md) learnt from.
With 64 candidates a cycle, two draws of one valid rate differ by more than 0.10 about one time in four.
"""
Summary = dict[str, Any]
VARIANTS: dict[str, dict[str, Any]] = {
    "tuned": {},
    "frozen": {"frozen": True},
    "frozen, with memory": {"frozen": True, "generation": {"memory": "all"}},
}
COLOURS = ("#1f6feb", "#8b949e", "#d29922", "#a371f7")
COLUMNS = {
    "cycle": "cycle",
    "valid_rate": "valid rate",
    "mean_accuracy": "mean acc.",
    "median_accuracy": "median",
    "best_accuracy": "best",
    "share_ge_threshold_trained": "≥ thr., trained",
    "share_ge_threshold_generated": "≥ thr., generated",
    "novel": "novel",
    "admitted": "admitted",
    "unique_total": "unique",
    "families": "families",
    "family_entropy_bits": "entropy, bits",
    "median_similarity": "median sim.",
}
MEASURES: dict[str, Callable[[Summary], float]] = {
    "valid rate, first cycle": lambda summary: summary["cycles"][0]["valid_rate"],
    "valid rate, last cycle": lambda summary: summary["cycles"][-1]["valid_rate"],
    "mean accuracy, first cycle": lambda summary: summary["cycles"][0]["mean_accuracy"],
    "mean accuracy, second cycle": lambda summary: summary["cycles"][1]["mean_accuracy"],
    "mean accuracy, last cycle": lambda summary: summary["cycles"][-1]["mean_accuracy"],
    "best accuracy of all cycles": lambda summary: max(cycle["best_accuracy"] for cycle in summary["cycles"]),
    "unique architectures": lambda summary: summary["unique_total"],
    "seconds": lambda summary: summary["seconds"],
}


def run(seed: int, variant: str, out: Path) -> Summary:
    """The summary of one run, made now if it is not there yet."""
    directory = out / f"s{seed}-{variant.replace(', with ', '-')}"
    if not (directory / "summary.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        preset = out / f"{directory.name}.yaml"
        content = merged(presets.load("demo").model_dump(mode="json"), VARIANTS[variant])
        preset.write_text(yaml.safe_dump(content, sort_keys=False))
        begin = ["run", "--preset", str(preset), "--seed", str(seed), "--out", str(directory)]
        command = ["resume", str(directory)] if (directory / "manifest.json").exists() else begin
        # By the published secret, so that anybody sees the same digits.
        published = f"{EvaluatorSettings.variable('heldout_secret')}={PUBLISHED}"
        subprocess.run(["env", published, sys.executable, "-m", "archloop_cli", *command], check=True)
    summary: Summary = json.loads((directory / "summary.json").read_text())
    return summary


def cell(cycle: dict[str, Any], key: str) -> str:
    value = len(cycle[key]) if key == "families" else cycle[key]
    return "–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def table(summary: Summary) -> str:
    rows = [COLUMNS.values(), ["--:"] * len(COLUMNS), *([cell(c, k) for k in COLUMNS] for c in summary["cycles"])]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def comparison(runs: Mapping[int, Mapping[str, Summary]]) -> str:
    """Means over the seeds, and what tuning adds seed by seed, with Student's 95 % interval."""
    variants = list(next(iter(runs.values())))
    rows = [["mean over seeds", *variants, *(f"tuned − {name}" for name in variants if name != "tuned")]]
    rows.append(["---", *["--:"] * (len(rows[0]) - 1)])
    for name, of in MEASURES.items():
        values = {variant: [of(runs[seed][variant]) for seed in runs] for variant in variants}
        means = [shown(fmean(each)) for each in values.values()]
        gains = [
            difference([a - b for a, b in zip(values["tuned"], values[variant], strict=True)])
            for variant in variants
            if variant != "tuned"
        ]
        rows.append([name, *means, *gains])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shown(value: float) -> str:
    return f"{value:.0f}" if abs(value) > 2 else f"{value:.3f}"


def difference(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    bounds = f" ({shown(interval.low)} to {shown(interval.high)})" if interval else ""
    return shown(fmean(values)) + bounds


def section(seed: int, runs: Mapping[str, Summary]) -> str:
    tables = [f"{name.capitalize()}, {each['seconds']:.0f} s:\n\n{table(each)}\n" for name, each in runs.items()]
    return "\n".join([f"## Seed {seed}\n", *tables])


def plot(runs: Iterable[Mapping[str, Summary]], path: Path) -> None:
    """Draw three measures by cycle, one line a run, one colour for all runs of a name."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained")
    titles = {"valid_rate": "valid rate", "mean_accuracy": "mean accuracy of valid", "unique_total": "unique admitted"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for number, named in enumerate(runs):
            for (name, summary), colour in zip(named.items(), COLOURS, strict=False):
                values = [cycle[key] for cycle in summary["cycles"]]
                axis.plot(values, color=colour, marker="o", ms=3, lw=1.5, alpha=0.85, label=None if number else name)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("cycle", fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylim(0, None if key == "unique_total" else 1)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run, then write docs/results/demo.md and the README's plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--no-docs", action="store_true", help="print the page instead of writing it")
    options = parser.parse_args()
    runs = {seed: {name: run(seed, name, options.out) for name in options.variants} for seed in options.seeds}
    page = "\n".join([HEAD, comparison(runs), "", *(section(seed, each) for seed, each in runs.items())])
    if options.no_docs:
        print(page)
        return
    RESULTS.write_text(page)
    plot(runs.values(), IMAGE)


if __name__ == "__main__":
    main()
