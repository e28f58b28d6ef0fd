"""The tokens of a source are the same in every process: no order is that of a set, which the hashes of texts decide."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = {
    "class attributes that name methods": """
class Net(nn.Module):
    def a(self, x): return self.one(x)
    def b(self, x): return self.two(x)
    def c(self, x): return self.three(x)
    def forward(self, x): return self.table[self.turn](x)
    table = [c, a, b]
""",
    "properties of several methods": """
class Net(nn.Module):
    def get(self): return self._size
    def put(self, value): self._size = value
    def drop(self): self._size = 0
    size = property(get, put, drop)
    def forward(self, x): return self.f(x, self.size)
""",
    "both halves of the recipe set what is read": """
class Net(nn.Module):
    def train_setup(self, prm): self.scale, self.shift = prm["a"], self.first(prm)
    def learn(self, data): self.scale, self.slope = self.scale * 2, self.second(data)
    def forward(self, x): return x * self.scale + self.shift - self.slope
""",
    "several names in one assignment of a class": """
class Net(nn.Module):
    wide, deep, slow, late = 1, 2, 3, 4
    def forward(self, x): return getattr(self, self.name)(x)
""",
    "imports with other meanings elsewhere": """
try:
    from fast import conv, norm, pool, drop
except ImportError:
    from slow import conv, norm, pool, drop
class Block(nn.Module):
    def forward(self, x): return drop(pool(norm(conv(x))))
""",
    "nothing but imports that fail": """
import json
import os
if os.environ.get("X"):
    from one import alpha, beta, gamma, delta
else:
    from two import alpha, beta, gamma, delta
""",
    "attributes by computed names": """
class Net(nn.Module):
    def left(self, x): return self.a(x)
    def right(self, x): return self.b(x)
    def over(self, x): return self.c(x)
    one, two, three = left, right, over
    def forward(self, x, side): return getattr(self, side)(x)
""",
    "methods that a decorated class names": """
@register
class Net(nn.Module):
    def first(self, x): return self.a(x)
    def second(self, x): return self.b(x)
    hooks = {"x": first, "y": second}
    def forward(self, x): return self.hooks["x"](self, x)
""",
}
SEEDS = ("0", "1", "2", "3", "4", "5")
TOKENS = (
    "import json, sys; from services.novelty.normalise import normalise\n"
    "print(json.dumps({name: normalise(source) for name, source in json.load(sys.stdin).items()}))"
)


@pytest.fixture(scope="module")
def processes():
    """What processes with different seeds of Python's hashes find: the tokens of each source."""

    def found(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        root = Path(__file__).parents[3]
        ran = subprocess.run(
            [sys.executable, "-c", TOKENS],
            input=json.dumps(SOURCES),
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(ran.stdout)

    return [found(seed) for seed in SEEDS]


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_has_the_same_tokens_whatever_the_seed_of_hashes(processes, name):
    assert len({tuple(table[name]) for table in processes}) == 1
