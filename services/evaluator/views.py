"""Small changes to held-out images that are public: each image is shown under one of its own.

The changes keep what is in an image and leave no byte of it where it was, so that who knows the image by its bytes does
not recognise it. They are as small as the accuracy of honest networks needs: docs/reference/protocols.md has figures.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from services.evaluator.datasets.dataset import Images

_SIDE_OF_A_SHIFT = 32  # pixels of side for each pixel of shift: what is smaller bears none
_LIGHT = 0.2
_LIGHTS = 4
_NOISE = 12
_UNIT = 128
_PIXELS_AT_ONCE = 2**22


def shown(images: Images, rng: np.random.Generator, *, mirror: bool) -> Images:
    """Return a copy of uint8 images (N, C, H, W), shifted, lit unevenly and with noise; half mirrored if `mirror`."""
    changed = np.empty_like(images)
    at_once = max(1, _PIXELS_AT_ONCE // images[0].size)
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        changed[part] = _noisy(_lit(_shifted(images[part], rng), rng), rng)
        if mirror:
            changed[part] = _mirrored(changed[part], rng)
    return changed


def _shifted(images: Images, rng: np.random.Generator) -> Images:
    """Shift each image by up to a pixel for every 32 of its shorter side, in both directions, repeating the edges."""
    count, _, height, width = images.shape
    most = min(height, width) // _SIDE_OF_A_SHIFT
    if not most:
        return images
    wide = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)), mode="edge")
    by = rng.integers(0, 2 * most + 1, (count, 2))
    shifted = np.empty_like(images)
    for down, right in product(range(2 * most + 1), repeat=2):
        chosen = (by == (down, right)).all(1)
        shifted[chosen] = wide[chosen, :, down : down + height, right : right + width]
    return shifted


def _lit(images: Images, rng: np.random.Generator) -> NDArray[np.int16]:
    """Multiply each image by a light that varies smoothly over it, by up to a fifth; black stays black."""
    count, _, height, width = images.shape
    lights = rng.uniform(_UNIT * (1 - _LIGHT), _UNIT * (1 + _LIGHT), (count, _LIGHTS, _LIGHTS)).astype(np.float32)
    light = np.rint(_between(height) @ lights @ _between(width).T).astype(np.uint16)
    return ((images * light[:, None]) >> 7).astype(np.int16)


def _between(side: int) -> NDArray[np.float32]:
    """Return (S, lights): the weight of each light at each pixel of a side, interpolated linearly."""
    at = np.linspace(0, _LIGHTS - 1, side)[:, None]
    return (1 - np.abs(at - np.arange(_LIGHTS))).clip(0).astype(np.float32)


def _noisy(levels: NDArray[np.int16], rng: np.random.Generator) -> Images:
    """Add up to twelve of the 255 levels, up or down, at every pixel."""
    noise = rng.integers(-_NOISE, _NOISE + 1, levels.shape, dtype=np.int8)
    return (levels + noise).clip(0, 255).astype(np.uint8)


def _mirrored(images: Images, rng: np.random.Generator) -> Images:
    left_to_right = rng.random(len(images)) < 0.5
    images[left_to_right] = images[left_to_right, ..., ::-1]
    return images
