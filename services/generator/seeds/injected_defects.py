"""Defects as a generic LLM makes them: local edits of a sound file, each of which keeps it from being trained."""

import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

Edit = Callable[[re.Match[str], random.Random], str]


def _to(*choices: str) -> Edit:
    return lambda match, rng: match.expand(rng.choice(choices))


def _another_width(match: re.Match[str], rng: random.Random) -> str:
    width = rng.choice([w for w in (8, 16, 24, 32, 40, 48, 64) if str(w) != match[2]])
    return f"{match[1]}{width}{match[3]}"


DEFECTS: Mapping[str, tuple[str, Edit]] = MappingProxyType(
    {
        "missing import": (r"^import torch.nn as nn\n", _to("", "import torch.nn\n")),
        "wrong super call": (r"super\(\).__init__\(\)", _to("super().__init__", "super(Net).__init__()", "pass")),
        "keyword typo": (r"\bpadding=", _to("paddding=", "pad=", "paddings=")),
        "unknown layer": (
            r"nn\.(Conv2d|Linear|BatchNorm2d|AdaptiveAvgPool2d)\(",
            _to(r"nn.\1D(", r"nn.\1s(", r"nn.functional.\1("),
        ),
        "wrong input channels": (r"in_shape\[1\]", _to("in_shape[0]", "in_shape[2]", "in_shape")),
        "wrong output features": (r"out_shape\[0\]", _to("out_shape[1]", "out_shape", "num_classes")),
        "wrong channel count": (r"((?:Conv2d|Linear|[A-Z][A-Za-z]+)\()(\d+)(, \d+)", _another_width),
        "missing flatten": (r"\.flatten\(1\)\n", _to("\n")),
        "bad reshape": (r"x\.mean\(\(2, 3\)\)|torch\.flatten\(self\.pool\(x\), 1\)", _to("x.view(-1, 7)", "x.view(x)")),
        "undefined attribute": (r"x = self\.(\w+)\(x\)", _to(r"x = self.\1_(x)", r"x = self.net(x)")),
        "undefined name": (r"return self\.(\w+)\(x\)", _to(r"return self.\1(out)", r"return self.\1(features)")),
        "missing method": (r"\n    def (train_setup|learn|forward)\(", _to(r"\n    def _\1(", r"\n    def \1_model(")),
        "missing return": (r"        return (self\.\w+\(x\))\n", _to(r"        \1\n", r"        x = \1\n")),
        "wrong signature": (
            r"in_shape, out_shape, prm, device\)",
            _to("in_shape, out_shape)", "prm)", "num_classes=10)"),
        ),
        "undeclared hyperparameter": (r"prm\['lr'\]", _to("prm['learning_rate']", "prm['rate']")),
        "criterion misnamed": (r"self\.criteria\[0\]", _to("self.criterion", "self.loss_fn")),
        "unclosed bracket": (r"\)\n", _to("\n")),
        "missing colon": (r"(def \w+\([\w, ]*\)|for .* in train_data):\n", _to(r"\1\n")),
    }
)


def fitting(code: str) -> list[str]:
    """Return the names of the defects that this file can have."""
    return [name for name, (pattern, _) in DEFECTS.items() if re.search(pattern, code, re.MULTILINE)]


def put(defect: str, code: str, rng: random.Random) -> str:
    """Return the code with this defect, in one of the places that fit."""
    pattern, edit = DEFECTS[defect]
    match = rng.choice(list(re.finditer(pattern, code, re.MULTILINE)))
    return code[: match.start()] + edit(match, rng) + code[match.end() :]
