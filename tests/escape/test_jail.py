"""What lies in the sandbox: all that a network needs to compute, nothing that it could answer from."""

import importlib.metadata
import os
import re
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from archloop.contracts.values import Outcome
from services.evaluator.sandbox import distributions
from services.evaluator.sandbox.contents import HARNESS, PACKAGES
from tests.escape.test_users_and_levels import needs_root
from tests.unit.evaluator.support import TINY, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROJECT = Path(find_spec("services").origin).parent.parent
SITE = Path(sysconfig.get_path("purelib"))
# A table, an array, an archive of either; a data set by its name; anything of this project but the harness. The one
# exception is number theory: how many digits a number has.
TELLING = (
    r"\.(csv|tsv|arff|npy|npz|parquet|feather|arrow|mat|h5|hdf5|sqlite|db|pt|pth|safetensors)(\.(gz|bz2|xz|zip|zst))?$"
    r"|(mnist|cifar|svhn|imagenet|digits|idx\d-ubyte)[^/]*$"
    rf"|^{re.escape(str(PROJECT))}/(archloop\w*|services(?!/evaluator/harness/)|tests|benchmarks|examples)/"
)
HARMLESS = r"/sympy/ntheory/|/torch/bin/test_[^/]*\.pt$"

LOOK = f"""
import os, re, sys
seen, found = 0, []


def opened(path):
    try:
        return bool(open(path, "rb").read(1)) or True
    except OSError:
        return False


for top in ["/", *sys.path, *map(os.path.dirname, sys.path), sys.prefix, sys.base_prefix, "/usr", "/etc", "/proc"]:
    for folder, _, files in os.walk(top):
        for path in (os.path.join(folder, name) for name in files):
            seen += 1
            if re.search({TELLING!r}, path) and not re.search({HARMLESS!r}, path) and opened(path):
                found.append(path)
ran("walked", seen)
raise ValueError("found " + repr(sorted(set(found))[:5]))
"""


def _telling() -> list[str]:
    """Files of this machine that hold answers or lead to them."""
    tops = {PROJECT / "services", PROJECT / "archloop", SITE, Path("/usr/lib"), Path("/usr/share")}
    found = [f"{folder}/{name}" for top in tops for folder, _, files in os.walk(top) for name in files]
    return sorted(path for path in found if re.search(TELLING, path) and not re.search(HARMLESS, path))[:5000]


OPEN = """
found, paths = [], PATHS
for path in paths:
    try:
        open(path, "rb").read(1)
        found.append(path)
    except OSError:
        continue
ran("opened", len(paths))
raise ValueError("found " + repr(found[:5]))
"""


def opening() -> str:
    """The paths are looked up once somebody tries them, as that takes seconds."""
    return OPEN.replace("PATHS", repr(_telling()))


# One way to each of: other packages, our loaders, protocols and seeds, what the fork server has loaded already.
ABSENT = {
    "sklearn": "__import__('sklearn.datasets')",
    "mlxtend": "__import__('mlxtend.data')",
    "scipy": "import_module('scipy.io')",
    "pandas": "import_module('pandas')",
    "torchvision": "import_module('torchvision')",
    "PIL": "import_module('PIL.Image')",
    "loaders": "__import__('services.evaluator.datasets')",
    "loaders, once more": "import_module('services.evaluator.datasets.loading')",
    "scoring": "import_module('services.evaluator.scoring')",
    "the sandbox's own": "import_module('services.evaluator.sandbox.client')",
    "protocols": "import_module('archloop.protocols')",
    "presets": "import_module('archloop.presets')",
    "seeds": "import_module('services.generator.seeds')",
    "seeds, from the package": "sys.modules['services'].generator",
    "loaders, from the package": "sys.modules['services.evaluator'].datasets",
    "loaders, beside the harness": "beside('services.evaluator.harness', '../datasets/shapes.py')",
    "protocols, beside what is loaded": "beside('archloop', 'protocols/digits.yaml')",
    "the sandbox's own, from its file": "open(sys.modules['services.evaluator.sandbox.server_main'].__file__)",
    "loaders, by path": f"by_path({str(PROJECT / 'services/evaluator/datasets/shapes.py')!r})",
    "another package, by path": f"by_path({str(SITE / 'sklearn/datasets/_base.py')!r})",
    "another package, from its metadata": "metadata('scikit-learn')['Summary'].upper()",
    "a resource": "__import__('pkgutil').get_data('archloop', 'protocols/digits.yaml')",
    "a table, from beside numpy": "beside('numpy', '../sklearn/datasets/data/digits.csv.gz')",
    "tests of numpy": "beside('numpy', 'lib/tests/data/py3-objarr.npy')",
    "tests of Python": "__import__('test.support')",
}  # fmt: skip
TRY = f"""
import sys
util = __import__("importlib.util").util
import_module = __import__("importlib").import_module
metadata = __import__("importlib.metadata").metadata.metadata
had = []


def by_path(path):
    spec = util.spec_from_file_location("stolen", path)
    spec.loader.exec_module(util.module_from_spec(spec))


def beside(module, path):
    open(import_module(module).__path__[0] + "/" + path)


for name, attempt in {ABSENT!r}.items():
    try:
        exec(attempt)
        had.append(name)
    except (ImportError, OSError, AttributeError):
        continue
ran("tried", {len(ABSENT)})
raise ValueError("found " + repr(had))
"""

# What networks were seen to use, at module level or first in training: it must be found from inside.
PRESENT = [
    "import torch.fft\ntorch.fft.fft2(torch.ones(4, 4)).abs()",
    "import torch.nn.utils.parametrizations as p\np.spectral_norm(torch.nn.Linear(2, 2))(torch.ones(1, 2))",
    "import torch.distributions as d\nd.Normal(0., 1.).sample()",
    "from torch.utils.checkpoint import checkpoint\ncheckpoint(torch.sin, torch.ones(2), use_reentrant=False)",
    "import torch.utils.data as d\nnext(iter(d.DataLoader(d.TensorDataset(torch.ones(4, 2)), 2)))",
    "import torch._dynamo\ntorch._dynamo.reset()",
    "import torch.func, torch.export\ntorch.func.vmap(torch.sin)(torch.ones(3))",
    "import torch.fx\ntorch.fx.symbolic_trace(torch.nn.Linear(2, 2))",
    "import torch.ao.quantization, torch.sparse, torch.special, torch.linalg, torch.nn.attention",
    "torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))",
    "torch.einsum('bij,bjk->bik', torch.ones(2, 3, 4), torch.ones(2, 4, 5))",
    "a = torch.ones(8, 8, dtype=torch.complex64)\na @ a",
    "torch.linalg.svd(torch.ones(4, 4))\ntorch.linalg.eigh(torch.eye(3))",
    "torch.optim.AdamW([torch.ones(2, requires_grad=True)])",
    "torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([torch.ones(1, requires_grad=True)], 1.), 1., total_steps=9)",
    "import numpy.random, numpy.linalg, numpy.fft, numpy.polynomial, numpy.testing\nnumpy.linalg.inv(numpy.eye(3))",
    "import sympy\nsympy.integrate(sympy.Symbol('x'))",
    "import networkx\nnetworkx.erdos_renyi_graph(8, 0.5)",
    "import typing_extensions\n[__import__(name) for name in ('jinja2', 'fsspec', 'filelock', 'setuptools', 'mpmath')]",
    "import gzip, bz2, lzma, zlib, zipfile\nlzma.decompress(lzma.compress(b'x'))\nbz2.compress(b'x')",
    "import sqlite3\nsqlite3.connect(':memory:').execute('select 1')",
    "import ssl, hashlib, hmac\nhashlib.sha256(b'x').hexdigest()\nhashlib.blake2b(b'x')",
    "import ctypes\nctypes.CDLL('libm.so.6').abs(-1)",
    "import decimal, fractions, statistics, array, heapq, cmath\ndecimal.Decimal('1') / 3",
    "import multiprocessing, concurrent.futures, asyncio, threading, queue",
    "import uuid, tempfile, pathlib, shutil, csv, json, pickle, inspect, logging, argparse, unittest.mock, email",
    "try:\n    import pandas\nexcept ImportError:\n    pass",
    "import xml.etree.ElementTree as e\ne.fromstring('<a/>')",
    "import importlib.metadata as m\nassert m.version('torch').startswith(torch.__version__.partition('+')[0])",
]


NOTHING = "ValueError: found []"


@pytest.mark.parametrize(
    ("source", "mark", "least"),
    [(lambda: LOOK, "walked", 10_000), (opening, "opened", 100), (lambda: TRY, "tried", 8)],
    ids=["walking", "opening what the machine has", "importing"],
)
async def test_nothing_that_it_could_answer_from_is_there(arena, source, mark, least):
    told = await arena.contained(good(before=source()), Outcome.BUILD_ERROR)
    assert told.detail.startswith(NOTHING)
    assert int(arena.marks[mark]) >= least


@pytest.mark.parametrize("statements", PRESENT)
async def test_what_a_network_needs_is_there(arena, statements):
    told = await arena.evaluator.evaluate(good(before=f"import torch\n{statements}"), TINY)
    assert (told.outcome, told.detail) == (Outcome.OK, "")


@needs_root
async def test_without_a_jail_the_same_can_be_read_and_no_more(run_service):
    """Names may be listed there, but what is hidden cannot be read."""
    hostile = [good(before=source) for source in (LOOK, opening(), TRY)]
    honest = [good(before=f"import torch\n{statements}") for statements in PRESENT]
    service = await run_service("process", *hostile, *honest, options=["user=4321", "bare"])
    await service.ready()
    told = [await service.line() for _ in (*hostile, *honest)]
    assert {line["sandbox_level"] for line in told} == {"process"}
    assert [line["detail"].partition(" (")[0] for line in told[: len(hostile)]] == [NOTHING] * len(hostile)
    assert [line for line in told[len(hostile) :] if line["outcome"] != Outcome.OK] == []


async def test_nothing_else_is_loaded_already(arena):
    """Of this project the sandbox, how devices are read, and the harness; of other packages what is mounted too."""
    ours = r"archloop(\.errors|\.ops(\.process)?)?|services(\.evaluator(\.devices|\.(sandbox|harness)(\.\w+)*)?)?"
    mounted = {Path(path).name.partition(".")[0] for path in distributions.entries(PACKAGES)}
    others = importlib.metadata.packages_distributions().keys() - mounted - {"packaging", "pyseccomp"}
    tops = sorted(others - {"archloop", "services"} - sys.stdlib_module_names)
    look = f"""
import re, sys
loaded = [n for n in sys.modules if n.partition(".")[0] in {tops!r}]
loaded += [n for n in sys.modules if re.match("archloop|services", n) and not re.fullmatch({ours!r}, n)]
ran("loaded", len(sys.modules))
raise ValueError("found " + repr(sorted(loaded)[:9]))
"""
    told = await arena.contained(good(before=look), Outcome.BUILD_ERROR)
    assert told.detail.startswith(NOTHING)
    assert {"sklearn", "mlxtend", "scipy"} <= set(tops)


async def test_of_this_project_the_harness_alone_is_mounted(arena):
    look = f"""
import os
walk = os.walk({str(PROJECT)!r})
found = {{folder.replace("/__pycache__", "") for folder, _, files in walk if files and "site-packages" not in folder}}
ran("found", sorted(found))
"""
    await arena.contained(good(before=look), Outcome.OK)
    assert arena.marks["found"] == repr([find_spec(HARNESS).submodule_search_locations[0]])
