"""Some thousand pairs made by programs: other spellings of one network are copies, other networks never exact ones."""

import ast
import random
import subprocess
import sys
from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import nn

from archloop.contracts.values import Family
from services.generator.seeds import write
from services.novelty.call_signatures import APPLIED, FUNCTIONS, LAYERS
from services.novelty.normalise import normalise
from services.novelty.shingles import Shingles, jaccard, shingles
from tests.support import sampled
from tests.unit.novelty import torch_signatures
from tests.unit.novelty.respellings import OTHER, Respelling
from tests.unit.novelty.respellings import SAME as PLAIN
from tests.unit.novelty.respellings_of_torch import BY_TORCH

SAME = (*PLAIN, *BY_TORCH)
SEEDS, PARTS, DRAWS, K, THRESHOLD = 112, 8, 2, 7, 0.85


class Network(NamedTuple):
    source: str
    dump: str
    tokens: tuple[str, ...]
    shingles: Shingles


@cache
def network(seed: int) -> Network:
    families = sorted(Family)
    source = write(random.Random(seed), families[seed % len(families)]).code
    tokens = normalise(source)
    return Network(source, ast.dump(ast.parse(source)), tokens, shingles(tokens, K))


def respelt(respelling: Respelling, seed: int, draw: int) -> str | None:
    """None where the network gives the program nothing to do."""
    known = network(seed)
    source = respelling(ast.parse(known.source), random.Random(1000 * draw + seed))
    return None if source is None or ast.dump(ast.parse(source)) == known.dump else source


def verdicts(respelling: Respelling, seed: int, draw: int) -> str | None:
    """`exact`, `near` or `novel`, by brute force; None where the network gives the program nothing to do."""
    known, source = network(seed), respelt(respelling, seed, draw)
    if source is None:
        return None
    tokens = normalise(source)
    if tokens == known.tokens:
        return "exact"
    return "near" if jaccard(known.shingles, shingles(tokens, K)) >= THRESHOLD else "novel"


@pytest.mark.parametrize("part", sampled(range(PARTS), 2))
def test_other_spellings_of_a_network_are_copies(part: int) -> None:
    found = Counter((r.__name__, verdicts(r, seed, 0)) for seed in range(part, SEEDS, PARTS) for r in SAME)
    told = Counter(
        {verdict: sum(n for (_, v), n in found.items() if v == verdict) for verdict in ("exact", "near", "novel")}
    )
    assert told.total() > 2000 / PARTS
    assert told["novel"] <= 0.005 * told.total(), {name: n for name, n in found.items() if name[1] == "novel"}
    assert told["exact"] > 0.99 * told.total(), {name: n for name, n in found.items() if name[1] == "near"}


@pytest.mark.parametrize("part", sampled(range(PARTS), 2))
def test_other_networks_are_no_exact_copies(part: int) -> None:
    draws = [(seed, draw) for seed in range(part, SEEDS, PARTS) for draw in range(DRAWS)]
    found = Counter((r.__name__, verdicts(r, *draw)) for draw in draws for r in OTHER)
    assert sum(n for (_, verdict), n in found.items() if verdict) > 2000 / PARTS
    assert not [name for name, verdict in found if verdict == "exact"]


def test_every_program_found_something_to_do() -> None:
    for respelling in (*SAME, *OTHER):
        assert any(respelt(respelling, seed, 0) for seed in range(24)), respelling.__name__


def test_the_table_of_signatures_is_that_of_the_installed_torch() -> None:
    """In a process of its own: whatever else is imported may give torch's classes more attributes."""
    told = subprocess.run([sys.executable, "-m", torch_signatures.__name__], capture_output=True, text=True, check=True)
    assert torch_signatures.TARGET.read_text() == told.stdout


ARGUMENTS = {
    "GLU": {"dim": 1},
    "Softmax": {"dim": 1},
    "LogSoftmax": {"dim": 1},
    "PixelShuffle": {"upscale_factor": 2},
    "Upsample": {"scale_factor": 2},
    "Unfold": {"kernel_size": 2},
}


@pytest.mark.parametrize("name", sorted(APPLIED))
def test_a_layer_without_parameters_applies_its_function(name: str) -> None:
    """What the reader takes for the same computes the same."""
    given = ARGUMENTS.get(name) or {p.name: 2 for p in LAYERS[name] if p.default is None}
    layer = getattr(nn, name)(**given)
    function = getattr(nn.functional, APPLIED[name], None) or getattr(torch, APPLIED[name])
    known = {parameter.name for parameter in FUNCTIONS[APPLIED[name]]}
    defaults = {p.name: ast.literal_eval(str(p.default)) for p in LAYERS[name] if p.default is not None}
    arguments = {key: value for key, value in ({**defaults, **given}).items() if key in known}
    if "training" in known:
        arguments["training"] = True
    dimensions = int(name[-2]) if name.endswith("d") and name[-2].isdigit() else 2
    value = torch.randn(2, 4, *[8] * dimensions)
    torch.manual_seed(3)
    expected = layer(value)
    torch.manual_seed(3)
    assert torch.equal(function(value, **arguments), expected)


DECIDED_SAME = [
    ("x = self.a(x)\nreturn x.mean((2, 3))", "x = self.a(x)\nreturn F.adaptive_avg_pool2d(x, 1).flatten(1)"),
    ("return self.a(x).mean(dim=[2, 3])", "return torch.mean(self.a(x), (2, 3))"),
    ("return self.a(x).view(x.size(0), -1)", "n = x.shape[0]\nreturn self.a(x).view((n, -1))"),
    ("y = self.a(x)\nreturn y.flatten(1)", "y = self.a(x)\nreturn y.view(y.size(0), -1)"),
    ("return self.a(x.to(self.device))", "return self.a(x)"),
    ("return self.a(x) + x", "return torch.add(self.a(x), x)"),
    ("y = self.a(x)\nz = x * 2\nreturn y - z", "z = x * 2\ny = self.a(x)\nreturn y - z"),
    ("if True:\n    x = self.a(x)\nreturn x", "return self.a(x)"),
    ("assert x.dim() == 4, 'four'\nreturn self.a(x)", "return self.a(x)"),
    ("if x.dim() != 4:\n    raise ValueError('four')\nreturn self.a(x)", "return self.a(x)"),
    ("return F.max_pool2d(self.a(x), 2)", "return F.max_pool2d(self.a(x), kernel_size=(2, 2), stride=2)"),
    (
        "for _ in range(2):\n    h = self.a(x)\n    x = h + x\nreturn x",
        "for i in range(2):\n    x = self.a(x) + x\nreturn x",
    ),
]
DECIDED_OTHER = [
    ("return self.a(x) + x", "return x + self.a(x)"),
    ("x = self.a(x)\nx += 1\nreturn x", "x = self.a(x)\nx = x + 1\nreturn x"),
    ("return F.relu(self.a(x))", "return F.relu(self.a(x), inplace=True)"),
    ("return self.a(self.a(x))", "for _ in range(2):\n    x = self.a(x)\nreturn x"),
]


def _with(forward: str) -> str:
    body = "\n".join(f"        {line}" for line in forward.split("\n"))
    return (
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\nclass Net(nn.Module):\n"
        "    def __init__(self, in_shape, out_shape, prm, device):\n        super().__init__()\n"
        "        self.device = device\n        self.a = nn.Conv2d(3, 3, 3, padding=1)\n\n"
        f"    def forward(self, x):\n{body}\n"
    )


@pytest.mark.parametrize(("first", "second"), DECIDED_SAME)
def test_what_was_decided_to_be_one_spelling(first: str, second: str) -> None:
    assert normalise(_with(first)) == normalise(_with(second))


@pytest.mark.parametrize(("first", "second"), DECIDED_OTHER)
def test_what_was_decided_to_count_as_written(first: str, second: str) -> None:
    assert normalise(_with(first)) != normalise(_with(second))
