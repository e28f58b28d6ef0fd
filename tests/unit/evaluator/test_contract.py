import ast

import pytest

from services.evaluator.harness import contract
from services.evaluator.harness.flaw import Flaw
from tests.unit.evaluator.support import GOOD


def check(code: str) -> None:
    contract.check(code, ast.parse(code))


def flaw(code: str) -> str:
    with pytest.raises(Flaw) as caught:
        check(code)
    assert caught.value.outcome == "contract_error"
    return caught.value.detail


def test_a_network_that_keeps_the_contract_passes():
    check(GOOD)


@pytest.mark.parametrize("module", ["torchvision", "timm.layers", "sklearn", "matplotlib.pyplot", "tqdm"])
def test_a_package_that_is_not_there_is_named_with_its_line_and_with_what_is_there(module):
    told = flaw(f"import math\nimport {module}\n{GOOD}")
    assert told.startswith(f"import of {module} is not possible, only of networkx, numpy, sympy, torch")
    assert told.endswith("Python's standard library (line 2)")
    assert "(line 2)" in flaw(f"import math\nfrom {module} import x\n{GOOD}")


@pytest.mark.parametrize("module", ["hashlib", "io", "pathlib", "builtins", "socket", "subprocess", "ctypes",
    "typing_extensions", "networkx", "numpy.linalg", "torch.nn.functional", "__future__"])  # fmt: skip
def test_all_of_the_standard_library_may_be_imported_for_the_sandbox_is_the_wall(module):
    check(f"from {module} import annotations\n{GOOD}")


@pytest.mark.parametrize("place", [
    "def f():\n    {}", "if __name__ == '__main__':\n    {}", "if TYPE_CHECKING:\n    {}", "if False:\n    {}",
    "f = lambda: __import__('timm')\nclass A:\n    def f(self):\n        {}", "for _ in ():\n    {}",
    "try:\n    {}\nexcept ImportError:\n    apex = None", "try:\n    {}\nexcept (ImportError, OSError):\n    pass",
    "try:\n    {}\nexcept:\n    pass", "try:\n    import math\nexcept ImportError:\n    {}",
    "async def f():\n    {}", "match 3:\n    case 4:\n        {}", "while False:\n    {}",
    "import contextlib\nwith contextlib.suppress(ImportError):\n    {}", "def quiet(): ...\nwith quiet():\n    {}",
    "import builtins\ntry:\n    {}\nexcept builtins.ImportError:\n    pass",
    "Missing = ImportError\ntry:\n    {}\nexcept Missing:\n    pass",
    "errors = (ImportError, OSError)\ntry:\n    {}\nexcept errors:\n    pass",
    "try:\n    {}\nexcept (KeyError, Exception):\n    pass",
    "try:\n    {}\nexcept* ImportError:\n    pass",
    "import sys, types\nsys.modules['apex'] = types.ModuleType('apex')\n{}",
    "import sys\nsys.meta_path.insert(0, object)\n{}",
    "import builtins\nbuiltins.__import__ = print\n{}",
])  # fmt: skip
def test_what_is_not_certain_to_be_imported_is_left_to_running_it(place):
    check(f"TYPE_CHECKING = False\n{place.format('import apex')}\n{GOOD}")


@pytest.mark.parametrize("place", ["{}", "class A:\n    {}", "try:\n    {}\nexcept (KeyError, OSError):\n    pass",
    "try:\n    {}\nexcept KeyError:\n    pass", "try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    {}",
    "try:\n    {}\nfinally:\n    pass"])  # fmt: skip
def test_what_is_certain_to_be_imported_is_refused_at_once(place):
    assert "apex" in flaw(f"{place.format('import apex')}\n{GOOD}")


def test_a_relative_import_says_that_a_candidate_is_one_file():
    assert "one file" in flaw("from . import layers\n" + GOOD)


def test_without_net_or_hyperparameters_it_says_which():
    assert "class Net" in flaw("def supported_hyperparameters(): return set()")
    assert "supported_hyperparameters" in flaw("class Net: pass")


@pytest.mark.parametrize("code", [
    GOOD.replace("class Net", "class Model") + "\nNet = Model\n",
    GOOD.replace("class Net", "class Model") + "\nglobals()['Net'] = Model\n",
    GOOD.replace("def learn(", "def other(") + "\nNet.learn = Net.other\n",
    "import dataclasses\n" + GOOD.replace("class Net", "@dataclasses.dataclass(eq=False)\nclass Net"),
    GOOD.replace("class Net(nn.Module)", "class Base(nn.Module)") + "\nclass Net(Base):\n    pass\n",
    GOOD + "\nfrom functools import partial\nNet = partial(Net)\n",
])  # fmt: skip
def test_however_net_and_its_methods_come_to_be_they_are_not_held_against_the_source(code):
    check(code)
