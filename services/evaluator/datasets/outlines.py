"""Outlines as signed distances in a shape's own unit square, rasterised for many images at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
STRIPES_PER_RADIUS = 1.25


def _disc(u: Field, v: Field) -> Field:
    return np.hypot(u, v) - 0.9


def _square(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _triangle(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u) * 0.866 - v * 0.5, v) - 0.5


def _cross(u: Field, v: Field) -> Field:
    a, b = np.abs(u), np.abs(v)
    lying, standing = np.maximum(a - 1, b - 0.33), np.maximum(b - 1, a - 0.33)
    union: Field = np.minimum(lying, standing)
    return union


def _ring(u: Field, v: Field) -> Field:
    return np.abs(np.hypot(u, v) - 0.75) - 0.25


OUTLINES: tuple[Callable[[Field, Field], Field], ...] = (_disc, _square, _triangle, _cross, _ring)


def coverage(
    kinds: NDArray[np.int64], side: int, radius: tuple[float, float], rng: np.random.Generator
) -> tuple[Field, Field]:
    """Place one outline in each image at a random position, size and angle.

    `radius` is the least and the largest size, in image sides. Returns how much of each pixel the outline covers and
    the brightness of its stripes, both (N, S, S) in [0, 1].
    """
    count = len(kinds)
    low, high = radius
    size = rng.uniform(low, high, (count, 1, 1))
    centre = rng.uniform(size, 1 - size, (2, count, 1, 1))
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    u, v = _local(side, centre, size, angle)
    distance = np.empty_like(u)
    for kind, outline in enumerate(OUTLINES):
        chosen = kinds == kind
        distance[chosen] = outline(u[chosen], v[chosen])
    mask = (0.5 - distance * size.astype(np.float32) * side).clip(0, 1)
    stripes = (0.5 + 2 * np.sin(2 * np.pi * STRIPES_PER_RADIUS * v)).clip(0.15, 1)
    return mask.astype(np.float32), stripes.astype(np.float32)


def _local(
    side: int, centre: NDArray[np.float64], size: NDArray[np.float64], angle: NDArray[np.float64]
) -> tuple[Field, Field]:
    """Return the pixel centres in each shape's own coordinates, in units of its radius: u and v, (N, S, S)."""
    grid = (np.arange(side) + 0.5) / side
    x, y = (grid[None, None, :] - centre[0]) / size, (grid[None, :, None] - centre[1]) / size
    cos, sin = np.cos(angle), np.sin(angle)
    return (cos * x + sin * y).astype(np.float32), (cos * y - sin * x).astype(np.float32)
