"""Networks that differ, by torch's own account, never have the tokens of one network: what is not understood counts."""

import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from services.novelty.normalise import normalise
from services.novelty.shingles import jaccard, shingles

PAIRS: dict[str, dict[str, dict[str, str | list[str]]]] = yaml.safe_load(
    Path(__file__).with_name("differences.yaml").read_text()
)
NET = """
import torch
from torch import nn
import torch.nn.functional as F

{before}

class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        c = in_shape[1]
{init}

    def forward(self, x):
{forward}

{methods}

{after}
"""
USUAL = {
    "before": """
class Block(nn.Module):
    width = 1
    act = nn.ReLU

    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout * self.width, 3, padding=1)
        self.last = nn.Conv2d(cout * self.width, cout, 1)
        self.f = self.act()

    def forward(self, x):
        return self.last(self.f(self.conv(x)))
""",
    "init": "self.a = Block(c, 8)\nself.b = Block(8, 8)",
    "forward": "return self.b(self.a(x))",
    "methods": "",
    "after": "",
}
DEPTHS = {"before": 0, "init": 8, "forward": 8, "methods": 4, "after": 0}


def pair(kind: str, name: str) -> tuple[str, str]:
    """Both sources of a row."""
    first, second = {}, {}
    for part, depth in DEPTHS.items():
        given = PAIRS[kind][name].get(part, USUAL[part])
        texts = given if isinstance(given, list) else [given, given]
        first[part], second[part] = (textwrap.indent(text, " " * depth) for text in texts)
    return NET.format(**first), NET.format(**second)


def behaviour(source: str, size: int = 8) -> tuple[list[tuple[int, ...]], list[float]]:
    """Parameters and an output, of the network as torch builds it, set up to be trained."""
    module = ModuleType("candidate")
    namespace: dict[str, Any] = vars(module)
    sys.modules["candidate"] = module
    torch.set_num_threads(1)
    torch.manual_seed(7)
    originals = nn.Conv2d.forward, nn.functional.relu, nn.ReLU
    try:
        exec(compile(source, "net", "exec"), namespace)
        network = namespace["Net"]((2, 3, size, size), (10,), {"lr": 0.1, "momentum": 0.9}, "cpu")
        if hasattr(network, "train_setup"):
            network.train_setup({"lr": 0.1, "momentum": 0.9})
        torch.manual_seed(11)
        with torch.no_grad():
            output = network(torch.randn(2, 3, size, size))
    finally:
        nn.Conv2d.forward, nn.functional.relu, nn.ReLU = originals  # type: ignore[method-assign, misc]
        del sys.modules["candidate"]
    return [(*p.shape, p.requires_grad) for p in network.parameters()], output.flatten().tolist()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, rows in PAIRS.items() for name in rows])
def test_networks_that_differ_have_other_tokens(kind: str, name: str) -> None:
    first, second = pair(kind, name)
    assert behaviour(first) != behaviour(second), "the pair shows nothing"
    assert normalise(first) != normalise(second)


@pytest.mark.parametrize("name", PAIRS["outside"])
def test_what_is_changed_at_module_level_is_seen(name: str) -> None:
    first, second = (shingles(normalise(source), 7) for source in pair("outside", name))
    assert jaccard(first, second) < 0.95


FOUND: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("found.yaml").read_text())
BEGINNING = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\n\n"


@pytest.mark.parametrize("name", FOUND)
def test_what_was_once_taken_for_one_network_is_two(name: str) -> None:
    first, second = (BEGINNING + source for source in FOUND[name])
    assert behaviour(first, 32) != behaviour(second, 32), "the pair shows nothing"
    assert normalise(first) != normalise(second)
