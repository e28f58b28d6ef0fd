import ast
import gc
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.novelty.normalise import normalise
from services.novelty.program import MAX_SOURCE_BYTES, UnreadableSource
from tests.unit.novelty.respellings import Renaming

NET = """
import torch
import torch.nn as nn
import torch.nn.functional as F

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        skip = x
        out = F.relu(self.norm(self.first(x)))
        return out + skip

class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.stem = nn.Conv2d(in_shape[1], 32, 3)
        self.blocks = nn.ModuleList([Block(width=32) for _ in range(3)])
        self.head = nn.Linear(32, out_shape[0])

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))

    def learn(self, train_data):
        pass
"""


def renamed(source: str, suffix: str) -> str:
    tree = ast.parse(source)
    return ast.unparse(ast.fix_missing_locations(Renaming(tree, suffix).visit(tree)))


def replaced(old: str, new: str) -> str:
    assert NET.count(old) == 1
    return NET.replace(old, new)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), suffix=st.from_regex(r"_[a-z]{1,6}", fullmatch=True))
def test_renaming_everything_and_reformatting_changes_no_token(seed_net, seed, suffix):
    assert normalise(renamed(seed_net(seed), suffix)) == normalise(seed_net(seed))


def test_renaming_the_helper_and_its_parameter_changes_no_token():
    assert normalise(renamed(NET, "_q")) == normalise(NET)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "    def forward(self, x):\n        skip = x",
            '    def forward(self, x):\n        """Doc."""  # why\n        skip = x',
        ),
        ("(self, width):", "(self, width: int) -> None:"),
        ("padding=1, bias=False", "bias=False, padding=1"),
        ("import torch.nn as nn", "from torch import nn"),
        ("import torch.nn.functional as F", "import torch.nn.functional as F, math"),
        ("        skip = x\n", "        assert x.dim() == 4\n        print(x.shape)\n        skip = x\n"),
        ("        x = self.stem(x)\n", "        x = (\n            self.stem(x)\n        )\n"),
        (
            "    def learn(self, train_data):\n        pass",
            "    def learn(self, data):\n        return self.step(data)",
        ),
        ("class Block", "class Unused(nn.Module):\n    pass\n\nclass Block"),
        ("super().__init__()\n        self.stem", "super(Net, self).__init__()\n        self.stem"),
    ],
)
def test_what_is_not_architecture_does_not_count(old, new):
    assert normalise(replaced(old, new)) == normalise(NET)


def test_a_chain_may_reuse_one_name_or_invent_new_ones():
    reused = "        x = self.stem(x)\n        for"
    invented = replaced(reused, "        y = self.stem(x)\n        for").replace("x = block(x)", "y = block(y)")
    assert normalise(invented.replace("x.mean", "y.mean")) == normalise(NET)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("in_shape[1], 32, 3", "in_shape[1], 48, 3"),
        ("width, width, 3, padding=1", "width, width, 5, padding=1"),
        ("range(3)", "range(4)"),
        ("F.relu(", "F.gelu("),
        ("nn.BatchNorm2d", "nn.InstanceNorm2d"),
        ("F.relu(self.norm(self.first(x)))", "self.norm(F.relu(self.first(x)))"),
        ("out + skip", "out * skip"),
        ("out + skip", "out + out"),
        ("            x = block(x)\n", "            x = block(x)\n            x = block(x)\n"),
        ("self.norm(self.first(x))", "self.norm(self.first(self.first(x)))"),
        ("bias=False", "padding_mode='reflect'"),
        ("        return self.head(", "        x = self.stem(x)\n        return self.head("),
    ],
)
def test_layers_structure_order_and_sizes_count(old, new):
    assert normalise(replaced(old, new)) != normalise(NET)


def test_bucketed_sizes_merge_neighbours_but_not_other_magnitudes():
    wide, wider = (
        replaced("in_shape[1], 32, 3", "in_shape[1], 36, 3"),
        replaced("in_shape[1], 32, 3", "in_shape[1], 64, 3"),
    )
    assert normalise(wide, "bucketed") == normalise(NET, "bucketed")
    assert normalise(wider, "bucketed") != normalise(NET, "bucketed")


def test_ignored_sizes_merge_all_magnitudes_but_no_layers():
    wider = replaced("in_shape[1], 32, 3", "in_shape[1], 640, 3")
    assert normalise(wider, "ignored") == normalise(NET, "ignored")
    assert normalise(replaced("nn.Conv2d(in_shape[1], 32", "nn.LazyConv2d(in_shape[1], 32"), "ignored") != normalise(
        NET, "ignored"
    )


def test_the_order_of_definitions_in_the_file_does_not_count():
    block, net = re.search(r"class Block.*(?=class Net)", NET, re.DOTALL)[0], NET[NET.index("class Net") :]
    head = NET[: NET.index("class Block")]
    assert normalise(head + net + "\n" + block) == normalise(NET)


def test_no_token_holds_a_name_that_the_program_gave():
    given = {"Block", "width", "first", "norm", "skip", "out", "stem", "blocks", "block", "head", "prm"}
    assert not {token for token in normalise(NET) for name in given if re.search(rf"\b{name}\b", token)}


def test_a_module_level_constant_counts_by_its_value():
    def with_width(value):
        return replaced("class Block", f"WIDTH = {value}\n\nclass Block").replace(
            "in_shape[1], 32", "in_shape[1], WIDTH"
        )

    assert normalise(with_width(32)) != normalise(with_width(48))


def test_without_net_every_module_counts_and_without_modules_everything():
    assert "Conv2d" in normalise(NET.replace("class Net", "class Main"))
    assert "Linear" in normalise("import torch.nn as nn\nmodel = nn.Linear(3, 4)\n")
    assert normalise("x + 1\n")


@pytest.mark.parametrize("count", [2, 7, 39])
def test_layers_that_nothing_uses_count_however_many_were_applied_and_forgotten_before(count: int) -> None:
    """What is kept of the one must not be found at the address of the other."""
    applied = "        x = nn.ReLU()(x)\n" * 40
    unused = "".join(f"        self.u{i} = nn.Linear({i + 2}, 7)\n" for i in range(count))
    source = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, a, b, prm, device):\n"
        "        super().__init__()\n        self.z = Last()\n        self.c = nn.Conv2d(3, 3, 1)\n"
        f"    def forward(self, x):\n{applied}        return self.z(self.c(x))\n"
        f"class Last(nn.Module):\n    def __init__(self):\n        super().__init__()\n{unused}"
        "    def forward(self, x):\n        return x\n"
    )
    assert normalise(source).count("unused") == count


def _forward(body: str) -> str:
    return f"class Net:\n    def forward(self, x):\n{body}"


@pytest.mark.parametrize(
    "source",
    [
        _forward("        return " + "-" * 900 + "x"),
        _forward("        return x" + ".a" * 900),
        _forward("        return x" + "(x)" * 900),
        _forward("        if x: x = x\n" + "        elif x: x = x + x\n" * 900),
        _forward("        return 0x" + "f" * 20_000),
        _forward("".join(f"        a{i} = x\n" for i in range(5000))),
        _forward("        l = [x]\n" + "        l.append(torch.cat(l))\n" * 3000),
        "def Net(x):\n    match x:\n        case [a, *b] if a: return {**b}\n        case _: return lambda *, c=1: c\n",
        "async def Net(x):\n    async for i in x: await i\n    async with x as y: del y\n    return [*x, x[1:, ...]]\n",
    ],
    ids=["unary", "attributes", "calls", "elif", "integer", "locals", "lists", "match", "async"],
)
def test_strange_sources_are_read(source):
    assert normalise(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(:\n",
        "x = '\x00'",
        "x = '\udcff'",
        "x = " + "-" * 100_000 + "1",
        "x = " + "(" * 300,
        "#" * (MAX_SOURCE_BYTES + 1),
    ],
    ids=["syntax", "null", "surrogate", "deep", "brackets", "size"],
)
def test_what_cannot_be_read_is_a_permanent_error(source):
    with pytest.raises(UnreadableSource) as raised:
        normalise(source)
    assert not raised.value.retryable


@pytest.fixture
def _threads_that_change_within_the_parser() -> Iterator[None]:
    """Whenever it makes garbage collected."""
    threshold = gc.get_threshold()

    def let_others(*_: object) -> None:
        time.sleep(0)

    gc.callbacks.append(let_others)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks.remove(let_others)


def test_a_source_is_read_again_where_another_thread_was_in_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, parse = normalise(NET), ast.parse
    mismatches = [SystemError("AST constructor recursion depth mismatch")] * 3

    def disturbed(source: str, **options: str) -> ast.Module:
        if mismatches:
            raise mismatches.pop()
        return parse(source, **options)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert normalise(NET) == expected


@pytest.mark.usefixtures("_threads_that_change_within_the_parser")
def test_many_are_read_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(normalise, [NET] * 100)) == {normalise(NET)}
