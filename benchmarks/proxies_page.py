"""The page of benchmarks/proxies.py: how well each variant orders networks, and at what cost."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archloop.protocols import Protocol
from archloop_lab.resampling import Agreement, agreement

Row = Mapping[str, Any]
CHANCE_LINE = 0.12
LEAST = 8  # networks of which a rank correlation is told
TEXT = """# CIFAR-10 in a second or two

`python benchmarks/proxies.py`: protocol `cifar10-mini`, {train:,} training, {validation:,} validation and
{test:,} test images brought to {resize} x {resize}, batch {batch}, learning rate {lr:g}, one epoch. The
images are {source}. torch {torch}, one thread a network; others used the cores too, so that seconds are too
many rather than too few. Single results: benchmarks/results/cifar10-mini.json.

{networks} networks: the five of tests/known_good.py, and eight families in turn by the seed program as it was then,
by turns without weak choices, with half and with all the usual ones. Each was trained with {seeds} seeds.
Accuracies are on the validation split; p10 / p50 / p90 are {accuracy}. A network took {seconds:.1f} CPU seconds on
average, 90 % of them less than {longest:.1f}.

| | {heads} |
|---|{rule}
{rows}

In brackets: 95 % bootstrap intervals, the widest of every two of the seeds. Variances are the components of a one-way
analysis of variance. A network that came to no accuracy counts as 0.

{reference}

## Why these numbers

Before, {few} networks with two seeds under each of these; the mean of their accuracies lies close together,
so that ranks are harder to tell than above:

| images, side, batch, rate | p10 / p50 / p90 | Spearman of seeds | variance ratio | seeds' s.d. | CPU s, mean / p90 |
|---|---|---|---|---|---|
{variants}

At 16 pixels a network sees four times as many images a second as at 32, and seeds agree better. Batches of 32
are quieter than of 16, a higher rate is noisier, and twice as many images cost twice as much without a better
rank. Chosen was what seeds agree on most for its cost.

## Limits

- The networks are the project's own seed program's and five by hand. How it ranks what an LLM invents is for
  `archloop proxy` on a run to say.
- Networks that differ by less than the noise floor cannot be told apart with one seed: `archloop confirm`
  trains the best on others.
- The number of variants is small, and they were chosen between on some of the networks that the figures above
  are of.
- At 16 pixels what needs fine detail has no advantage; that a design suits 224 pixels is nothing that this
  protocol can say.
"""
REFERENCE = """**The reference** is {name}: the same part of CIFAR-10 at the same size for ten epochs, as ten of the
whole at 32 x 32 were too much for two shared cores. {compared} of the networks, in random order as far
as time allowed, went through it, one seed each, at {longer:.0f} CPU seconds a network, {ratio:.0f}
times as much. So it says what nine epochs more change, and nothing about more images or more pixels.
Agreement with it is bounded by the reference's own seed noise, which was not measured."""
Accuracies = NDArray[np.float64]


class Measured(NamedTuple):
    """Accuracies (networks, seeds) of one protocol, 0 where a network came to none, and CPU seconds."""

    nets: list[str]
    accuracies: Accuracies
    seconds: Accuracies


def measured(rows: Sequence[Row], protocol: str) -> Measured:
    """The networks that were scored with every seed."""
    own = [row for row in rows if row["protocol"] == protocol]
    seeds = sorted({row["seed"] for row in own})
    found = {(row["net"], row["seed"]): row for row in own}
    nets = [net for net in dict.fromkeys(row["net"] for row in own) if all((net, seed) in found for seed in seeds)]
    cells = [[found[net, seed] for seed in seeds] for net in nets]
    shape = (len(nets), len(seeds))
    accuracies = np.array([[cell["accuracy"] or 0.0 for cell in line] for line in cells]).reshape(shape)
    seconds = np.array([[cell["cpu_seconds"] for cell in line] for line in cells]).reshape(shape)
    return Measured(nets, accuracies, seconds)


def between_seeds(accuracies: Accuracies) -> list[Agreement]:
    """The agreement of every two seeds."""
    pairs = combinations(range(accuracies.shape[1]), 2)
    return [found for i, j in pairs if (found := agreement(accuracies[:, i].tolist(), accuracies[:, j].tolist()))]


def variances(accuracies: Accuracies) -> tuple[float, float]:
    """The components between architectures and between seeds, by one-way analysis of variance."""
    within = float(accuracies.var(axis=1, ddof=1).mean())
    between = float(accuracies.mean(axis=1).var(ddof=1)) - within / accuracies.shape[1]
    return max(0.0, between), within


def halves(found: Measured) -> dict[str, Measured]:
    """All networks, those above chance with every seed, and the better half by the mean of the seeds."""
    mean = found.accuracies.mean(axis=1)
    chosen = {
        "all": np.ones(len(mean), bool),
        "above 1.2 x chance": (found.accuracies > CHANCE_LINE).all(axis=1),
        "the better half": mean >= np.median(mean),
    }
    return {name: _taken(found, mask) for name, mask in chosen.items()}


def _taken(found: Measured, mask: NDArray[np.bool_]) -> Measured:
    nets = [net for net, taken in zip(found.nets, mask, strict=True) if taken]
    return Measured(nets, found.accuracies[mask], found.seconds[mask])


def figures(found: Measured, reference: Measured) -> dict[str, str]:
    """What is said of one set of networks."""
    between, within = variances(found.accuracies)
    pairs = between_seeds(found.accuracies)
    shared = [net for net in found.nets if net in reference.nets]
    own = [float(found.accuracies[found.nets.index(net)].mean()) for net in shared]
    one = [float(found.accuracies[found.nets.index(net), 0]) for net in shared]
    longer = [float(reference.accuracies[reference.nets.index(net), 0]) for net in shared]
    return {
        "networks": str(len(found.nets)),
        "Spearman between two seeds": f"{np.mean([a.rho for a in pairs]):.2f} ({_ranges(pairs)})" if pairs else "-",
        "of one seed with the reference": _told(one, longer),
        "of the seeds' mean with the reference": _told(own, longer),
        "standard deviation between architectures": f"{between**0.5:.3f}",
        "standard deviation between seeds": f"{within**0.5:.3f}",
        "noise floor, two of these": f"{2 * within**0.5:.3f}",
        "variance between architectures over that between seeds": f"{between / within:.0f}",
    }


def _told(one: Sequence[float], other: Sequence[float]) -> str:
    found = agreement(one, other) if len(one) >= LEAST else None
    return f"{found.rho:.2f} ({found.low:.2f} to {found.high:.2f}), n = {found.size}" if found else "-"


def _ranges(pairs: Sequence[Agreement]) -> str:
    return f"{min(one.low for one in pairs):.2f} to {max(one.high for one in pairs):.2f}"


def page(result: Mapping[str, Any], mini: Protocol, reference: str, variants: Sequence[str]) -> str:
    """The whole page, of as much as was measured."""
    found, longer = (measured(result["rows"], name) for name in (mini.name, reference))
    parts = {name: figures(each, longer) for name, each in halves(found).items()}
    labels = list(next(iter(parts.values())))
    accuracy = np.quantile(found.accuracies, (0.1, 0.5, 0.9))
    return TEXT.format(
        source=result["source"],
        torch=result["torch"],
        **mini.dataset.model_dump(include={"train", "validation", "test"}),
        **mini.model_dump(include={"batch", "resize"}),
        lr=mini.hyperparameters.lr,
        networks=len(found.nets),
        seeds=found.accuracies.shape[1],
        heads=" | ".join(parts),
        rule="---|" * len(parts),
        rows="\n".join(f"| {label} | " + " | ".join(part[label] for part in parts.values()) + " |" for label in labels),
        accuracy=" / ".join(f"{value:.2f}" for value in accuracy),
        seconds=found.seconds.mean(),
        longest=np.quantile(found.seconds, 0.9),
        reference=_reference(reference, found, longer),
        variants="\n".join(filter(None, (_line(name, measured(result["rows"], name)) for name in variants))),
        few=max((len(measured(result["rows"], name).nets) for name in variants), default=0),
    )


def _reference(name: str, found: Measured, longer: Measured) -> str:
    compared = len(set(found.nets) & set(longer.nets))
    if compared < LEAST:
        return "Beside a longer training it was not measured yet."
    mean = float(longer.seconds.mean())
    return REFERENCE.format(name=name, compared=compared, longer=mean, ratio=mean / float(found.seconds.mean()))


def _line(name: str, found: Measured) -> str:
    if len(found.nets) < 4 or found.accuracies.shape[1] < 2:
        return ""
    rho = float(np.mean([one.rho for one in between_seeds(found.accuracies)]))
    between, within = variances(found.accuracies)
    q = np.quantile(found.accuracies, (0.1, 0.5, 0.9))
    return (
        f"| {name.removesuffix(', 1 epochs')} | {q[0]:.2f} / {q[1]:.2f} / {q[2]:.2f} | {rho:.2f} | "
        f"{between / within:.0f} | {within**0.5:.3f} | {found.seconds.mean():.1f} / "
        f"{np.quantile(found.seconds, 0.9):.1f} |"
    )
