"""The best of a run trained anew on other seeds: what of their accuracy was luck, and how much noise there is.

An accuracy by which a network was chosen is too high on average, as the lucky ones of many are chosen. What it reaches
with seeds that had no part in the choice is not. A difference below the noise floor, twice the standard deviation
between seeds, is no gain.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean, variance

from archloop.contracts.base import Frozen

SIGMAS = 2.0


class Confirmed(Frozen):
    """A network with its accuracy in the run, and those on other training seeds; null where it came to none."""

    candidate: str
    place: str
    chosen_by: float
    accuracies: tuple[float | None, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds; a training that came to nothing counts as 0."""
        return fmean(accuracy or 0.0 for accuracy in self.accuracies)

    @property
    def whole(self) -> list[float]:
        """The accuracies, where it was trained with every seed; else nothing."""
        known = [accuracy for accuracy in self.accuracies if accuracy is not None]
        return known if len(known) == len(self.accuracies) else []


class Confirmation(Frozen):
    """What a run's best came to on `seeds`, the best of the run first; `first` was the best of the first cycle.

    `sigma` is the standard deviation of one accuracy between seeds, pooled over all that were trained with every seed;
    null where there are none.
    """

    seeds: tuple[int, ...]
    networks: tuple[Confirmed, ...]
    first: Confirmed
    sigma: float | None

    @property
    def floor(self) -> float | None:
        """The noise floor."""
        return None if self.sigma is None else SIGMAS * self.sigma

    @property
    def best(self) -> Confirmed:
        """The network with the highest mean on these seeds."""
        return max(self.networks, key=lambda network: network.mean)

    @property
    def shrinkage(self) -> float:
        """By how much accuracies are lower on these seeds than those by which the networks were chosen."""
        return fmean(network.chosen_by - network.mean for network in self.networks)


def confirmation(seeds: Sequence[int], networks: Sequence[Confirmed], first: Confirmed) -> Confirmation:
    """Put together what was measured."""
    return Confirmation(seeds=tuple(seeds), networks=tuple(networks), first=first, sigma=_sigma([*networks, first]))


def is_gain(difference: float, floor: float | None) -> bool:
    """Return whether a difference of confirmed means may be called a gain: it is above a noise floor that is known."""
    return floor is not None and difference > floor


def difference(value: float, floor: float | None) -> str:
    """Say what a difference of confirmed means comes to."""
    if floor is None:
        return f"{_signed(value)}, of which nothing can be said, as no network was trained with every seed"
    if is_gain(abs(value), floor):
        return f"{_signed(value)}, a {'gain' if value > 0 else 'loss'} beyond the noise floor of {floor:.3f}"
    return f"{_signed(value)}, within the noise floor of {floor:.3f} and so neither gain nor loss"


def sentences(found: Confirmation) -> list[str]:
    """Say what the run came to on other seeds, and whether that is a gain over its first cycle."""
    best, first = found.best, found.first
    chosen = f"On {len(found.seeds)} other training seeds the best {len(found.networks)} of the run reach"
    mean = fmean(network.mean for network in found.networks)
    return [
        f"{chosen} {mean:.3f} on average, {_signed(-found.shrinkage)} from the accuracies by which they were chosen.",
        f"The best of them is candidate {best.place} with {best.mean:.3f}.",
        f"The best of the first cycle reaches {first.mean:.3f}: {difference(best.mean - first.mean, found.floor)}.",
    ]


def _sigma(networks: Iterable[Confirmed]) -> float | None:
    distinct = {network.candidate: network.whole for network in networks}
    variances = [variance(whole) for whole in distinct.values() if len(whole) > 1]
    return fmean(variances) ** 0.5 if variances else None


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
