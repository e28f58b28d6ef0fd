"""Procedural RGB images: a shape with a fill, in a colour that only hints at the class, over clutter and noise.

A class is a pair of outline and fill. Position, size, angle, background, clutter and noise are nuisances. Colour is a
weak cue that a global average can pick up, fill a medium one, outline a hard one. Weak networks therefore score little
above chance, and every gain in a design shows.
"""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from archloop.contracts.base import Frozen
from archloop.errors import InvalidInput
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.datasets.outlines import OUTLINES, coverage
from services.evaluator.secret import Secret

Floats = NDArray[np.floating]
Fraction = Annotated[float, Field(ge=0, le=1)]


class ShapesOptions(Frozen):
    """Options of the protocol's `dataset.options`: how strong each cue and each nuisance is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    colour_cue: Fraction = 0.5
    noise: Fraction = 0.1
    clutter: Annotated[int, Field(ge=0)] = 2
    radius: tuple[Fraction, Fraction] = (0.28, 0.42)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        low, high = self.radius
        if not 0 < low <= high <= 0.5:
            raise ValueError("`radius` is low and high, in image sides, with 0 < low <= high <= 0.5")
        return self


def generate(spec: DatasetSpec, secret: Secret) -> Dataset:
    """Draw every split from its own stream, with classes in equal numbers. Raises InvalidInput.

    The stream of the training images depends on the spec's seed alone, and is public. Those of the held-out images
    depend on the secret.
    """
    options = _options(spec)
    (public,) = np.random.default_rng(spec.seed).spawn(1)
    counts = {"validation": spec.validation, "test": spec.test}
    streams = {split: secret.generator("draw", f"{spec.name}/{spec.seed}/{split}") for split in counts}
    heldout = [_draw(spec, options, n, streams[split]) for split, n in counts.items()]
    return assemble(_draw(spec, options, spec.train, public), heldout, public=False)


def _options(spec: DatasetSpec) -> ShapesOptions:
    most = 2 * len(OUTLINES)
    if spec.classes > most:
        raise InvalidInput("dataset.classes of shapes", spec.classes, f"at most {most}")
    if spec.shape[0] != 3 or spec.shape[1] != spec.shape[2]:
        raise InvalidInput("dataset.shape of shapes", spec.shape, "(3, S, S)")
    try:
        return ShapesOptions.model_validate(spec.options)
    except ValidationError as error:
        raise InvalidInput("dataset.options of shapes", spec.options, str(error)) from error


def _draw(spec: DatasetSpec, options: ShapesOptions, count: int, rng: np.random.Generator) -> Split:
    labels = rng.permutation(np.arange(count) % spec.classes)
    side = spec.shape[-1]
    low, high = options.radius
    canvas = _background(count, side, rng)
    for _ in range(options.clutter):
        mask = coverage(rng.integers(len(OUTLINES), size=count), side, (low / 2, high / 2), rng)[0]
        canvas = _paint(canvas, mask, _colours(rng.random(count)))
    mask, stripes = coverage(labels // 2, side, options.radius, rng)
    shade = np.where((labels % 2 == 1)[:, None, None], stripes, 1)
    hinted = rng.random(count) < options.colour_cue
    hue = np.where(hinted, (labels + rng.random(count)) / spec.classes, rng.random(count))
    canvas = _paint(canvas, mask, _colours(hue) * shade[:, None])
    canvas += rng.normal(0, options.noise, canvas.shape).astype(np.float32)
    return Split(np.rint(255 * canvas.clip(0, 1)).astype(np.uint8), labels.astype(np.int64))


def _background(count: int, side: int, rng: np.random.Generator) -> Floats:
    """Draw smooth gradients between two dull colours in random directions: (N, 3, S, S)."""
    colours = rng.uniform(0.2, 0.6, (2, count, 3, 1, 1)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    blend = (0.5 + 0.35 * (np.cos(angle) * x + np.sin(angle) * y)).astype(np.float32)[:, None]
    gradient: Floats = blend * colours[0] + (1 - blend) * colours[1]
    return gradient


def _paint(canvas: Floats, mask: Floats, colours: Floats) -> Floats:
    alpha = mask[:, None]
    painted: Floats = (1 - alpha) * canvas + alpha * colours
    return painted


def _colours(hue: NDArray[np.float64]) -> Floats:
    """Return saturated RGB colours, (N, 3, 1, 1), of hues in [0, 1)."""
    phases = hue[:, None, None, None] - np.array([0, 1 / 3, 2 / 3]).reshape(1, 3, 1, 1)
    colours: Floats = (0.5 + 0.5 * np.cos(2 * np.pi * phases)).astype(np.float32)
    return colours
