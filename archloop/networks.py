"""One line that tells a network from others, in words of its code that are on a closed list, and numbers.

The code is hostile and is only searched, never parsed: nothing of it gets into the line but these words and numbers, so
that the line can stand in a prompt. What the code computes by itself (widths in a loop, say) is not seen.
"""

import re
from collections import Counter
from collections.abc import Iterator

from archloop.contracts.values import Family

_LONGEST = 240
_NUMBER = r"(\d{1,5}(?:\.\d{0,6})?(?:e-?\d{1,2})?|\.\d{1,6})(?![\w.])"
_ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Hardswish", "Softplus")
_SATURATING = ("Sigmoid", "Tanh")
_FUNCTIONS = {name.lower(): name for name in (*_ACTIVATIONS, *_SATURATING)} | {"leaky_relu": "LeakyReLU"}
_NORMS = ("BatchNorm2d", "GroupNorm", "LayerNorm", "InstanceNorm2d")
_POOLS = ("MaxPool2d", "AvgPool2d")
_CALLS = re.compile(rf"\b(?:Conv2d|Linear|AdaptiveMaxPool2d|{'|'.join((*_NORMS, *_POOLS))})(?=\()")
_ACTIVATED = re.compile(rf"\.({'|'.join((*_ACTIVATIONS, *_SATURATING, *_FUNCTIONS))})\(")
_WIDTHS = re.compile(
    r"\b(?:Conv2d|(?!Linear|GroupNorm|\w*Pool)[A-Z]\w{0,40})\(\s{0,20}[\w.\[\]]{1,40}\s{0,20},\s{0,20}(\d{1,4})\b"
)
_LISTS = re.compile(r"\[([\d, ]{3,100})\]")
_SETTINGS = (
    ("nesterov", re.compile(r"\bnesterov\s{0,9}=\s{0,9}True\b")),
    ("lr*{}", re.compile(rf"\blr\s{{0,9}}=\s{{0,9}}prm\[['\"]lr['\"]\]\s{{0,9}}\*\s{{0,9}}{_NUMBER}")),
    ("dampening={}", re.compile(rf"\bdampening\s{{0,9}}=\s{{0,9}}{_NUMBER}")),
    ("weight_decay={}", re.compile(rf"\bweight_decay\s{{0,9}}=\s{{0,9}}{_NUMBER}")),
    ("label_smoothing={}", re.compile(rf"\blabel_smoothing\s{{0,9}}=\s{{0,9}}{_NUMBER}")),
    (
        "clip_grad_norm_ {}",
        re.compile(rf"\bclip_grad_norm_\([^,\n]{{1,60}},\s{{0,9}}(?:max_norm\s{{0,9}}=\s{{0,9}})?{_NUMBER}"),
    ),
    ("Dropout {}", re.compile(rf"\bDropout(?:2d)?\(\s{{0,9}}(?:p\s{{0,9}}=\s{{0,9}})?{_NUMBER}")),
    ("constant_ {}", re.compile(rf"\binit\.constant_\([^,\n]{{1,60}},\s{{0,9}}{_NUMBER}")),
)


def described(code: str, family: Family, parameters: int | None) -> str:
    """Return the line; where it would be too long, without its last parts."""
    line = family.value
    for part in (*_size(code, parameters), *_structure(code), *_training(code)):
        if len(line) + len(part) + 2 > _LONGEST:
            break
        line = f"{line}, {part}"
    return line


def _size(code: str, parameters: int | None) -> Iterator[str]:
    if parameters is not None:
        yield f"{_rounded(parameters)} parameters"
    widths = [int(width) for width in _WIDTHS.findall(code)]
    widths += [int(width) for inner in _LISTS.findall(code) for width in re.findall(r"\d+", inner) if len(width) < 5]
    if widths:
        yield f"{max(widths)} channels"


def _structure(code: str) -> Iterator[str]:
    calls, activated = Counter(_CALLS.findall(code)), Counter(_FUNCTIONS.get(n, n) for n in _ACTIVATED.findall(code))
    for name in ("Conv2d", "Linear"):
        if calls[name] > (name == "Linear"):
            yield f"{calls[name]} {name}"
    named = {name: count for name, count in activated.items() if name not in _SATURATING} or activated
    if named:
        yield max(sorted(named), key=lambda name: named[name])
    norms = [name for name in _NORMS if calls[name]]
    yield from norms or ["no norm"]
    yield from (name for name in (*_POOLS, "AdaptiveMaxPool2d") if calls[name])
    if re.search(r"\bstride\s{0,9}=\s{0,9}2\b", code):
        yield "stride=2"


def _training(code: str) -> Iterator[str]:
    for words, pattern in _SETTINGS:
        if found := pattern.search(code):
            yield words.format(*found.groups())


def _rounded(number: int) -> str:
    """Return two digits of it, with k or M for thousands and millions."""
    shown = float(f"{number:.2g}")
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if shown >= unit:
            return f"{shown / unit:.3g}{name}"
    return f"{shown:.0f}"
