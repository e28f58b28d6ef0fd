"""What a prompt would have to ask for to be answered by a network that is there already.

Read off its text, since nothing of it is run: marks of each word that a prompt may hold. What leaves no mark stays as
it was drawn.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from math import prod

from services.generator.prompts import ACTIVATIONS, TRICKS, BriefParameters
from services.novelty.layers import callee_name
from services.novelty.trees import walk

UNSEEN = 1.3
"""The paper's allowance for weights whose number is not written out."""

_FUNCTIONS = {"LeakyReLU": "leaky_relu"}
_ACTIVATIONS = {name: rf"\b{name}\b|\b{_FUNCTIONS.get(name, name.lower())}\(" for name in ACTIVATIONS}
_DOWNSAMPLING = {
    "strided convolution": r"stride\s*=\s*\(?2",
    "max pooling": r"(?<!Adaptive)MaxPool2d|(?<!adaptive_)max_pool2d",
    "average pooling": r"(?<!Adaptive)AvgPool2d|(?<!adaptive_)avg_pool2d",
}
_HEADS = {
    "global average pooling": r"AdaptiveAvgPool2d|adaptive_avg_pool2d|\.mean\(",
    "global max pooling": r"AdaptiveMaxPool2d|adaptive_max_pool2d|\.amax\(",
}
_LAYOUTS = {
    "stages in a loop over widths": r"ModuleList|\.append\(|\.add_module\(",
    "stages in a Sequential": r"\bSequential\(",
    "one attribute for each stage": r"\Z",
}
_TRICKS = {
    "Nesterov momentum": r"nesterov\s*=\s*True",
    "weight decay": r"weight_decay",
    "gradient clipping": r"clip_grad",
    "label smoothing": r"label_smoothing",
    "dropout": r"[Dd]ropout",
}


def true_of(code: str, drawn: BriefParameters) -> BriefParameters:
    """Put what the code shows in the place of what was drawn for the brief. Tricks that it uses are allowed."""
    used = [trick for trick in TRICKS if re.search(_TRICKS[trick], code)]
    allowed = {*used, *drawn.tricks[len(used) :]}
    return drawn._replace(
        layout=next(name for name, mark in _LAYOUTS.items() if re.search(mark, code)),
        downsampling=_most_frequent(_DOWNSAMPLING, code) or drawn.downsampling,
        activation=_most_frequent(_ACTIVATIONS, code) or drawn.activation,
        head=_most_frequent(_HEADS, code) or "one hidden layer",
        tricks=tuple(trick for trick in TRICKS if trick in allowed),
    )


def parameters(tree: ast.Module) -> int:
    """Estimate their number: those of layers whose sizes are written out, and the paper's allowance."""
    return int(UNSEEN * sum(_weights(node) for node in walk(tree) if isinstance(node, ast.Call)))


def _most_frequent(marks: Mapping[str, str], code: str) -> str | None:
    found = {name: len(re.findall(mark, code)) for name, mark in marks.items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else None


def _weights(call: ast.Call) -> int:
    """Count those of a convolution or a linear layer; 0 for anything else and where a size is computed."""
    given = dict(_sizes(call))
    match callee_name(call), given:
        case "Linear", {0: fan_in, 1: fan_out}:
            return fan_in * fan_out + fan_out
        case "Conv2d" | "ConvTranspose2d", {0: fan_in, 1: fan_out, 2: kernel}:
            return fan_in * fan_out * kernel // given.get("groups", 1) + fan_out
    return 0


def _sizes(call: ast.Call) -> Iterator[tuple[int | str, int]]:
    """List positive integers among the arguments; of a kernel, how many places it covers."""
    named = {"in_channels": 0, "out_channels": 1, "kernel_size": 2, "in_features": 0, "out_features": 1}
    keywords = [(named.get(k.arg or "", k.arg or ""), k.value) for k in call.keywords]
    for place, node in [*enumerate(call.args), *keywords]:
        match node:
            case ast.Constant(value=int(size)) if size > 0:
                yield place, size**2 if place == 2 else size
            case ast.Tuple(elts=[ast.Constant(value=int()), *_] as sides) if place == 2:
                yield place, prod(s.value for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, int))
