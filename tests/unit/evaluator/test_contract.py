import ast

import pytest

from services.evaluator.harness import contract
from services.evaluator.harness.flaw import Flaw
from tests.unit.evaluator.support import GOOD


def flaw(code: str) -> str:
    with pytest.raises(Flaw) as caught:
        contract.check(ast.parse(code))
    assert caught.value.outcome == "contract_error"
    return caught.value.detail


def test_a_network_that_keeps_the_contract_passes():
    contract.check(ast.parse(GOOD))


@pytest.mark.parametrize("module", ["torchvision", "socket", "subprocess", "timm.layers"])
def test_a_package_that_is_not_there_is_named_with_its_line(module):
    assert flaw(f"import math\nimport {module}\n{GOOD}").startswith(f"import of {module} is not allowed")
    assert "(line 2)" in flaw(f"import math\nfrom {module} import x\n{GOOD}")


def test_an_import_inside_a_function_is_seen_too():
    assert "ctypes" in flaw(GOOD + "\ndef f():\n    import ctypes\n")


def test_a_relative_import_says_that_a_candidate_is_one_file():
    assert "one file" in flaw("from . import layers\n" + GOOD)


@pytest.mark.parametrize("caught", ["ImportError", "(ImportError, OSError)", "Exception"])
def test_an_import_that_the_candidate_can_do_without_is_left_to_it(caught):
    contract.check(ast.parse(f"try:\n    import apex\nexcept {caught}:\n    apex = None\n{GOOD}"))


def test_a_try_that_catches_something_else_excuses_no_import():
    assert "apex" in flaw(f"try:\n    import apex\nexcept KeyError:\n    pass\n{GOOD}")


def test_what_runs_when_an_optional_import_fails_is_checked():
    assert "socket" in flaw(f"try:\n    import apex\nexcept ImportError:\n    import socket\n{GOOD}")


def test_without_net_or_hyperparameters_it_says_which():
    assert "class Net" in flaw("def supported_hyperparameters(): return set()")
    assert "supported_hyperparameters" in flaw("class Net: pass")


@pytest.mark.parametrize("method", contract.METHODS)
def test_a_missing_method_is_named(method):
    assert f"no {method}" in flaw(GOOD.replace(f"def {method}(", "def other("))


def test_methods_may_come_from_a_base_class_of_the_candidates_own():
    code = GOOD.replace("class Net(nn.Module)", "class Base(nn.Module)")
    contract.check(ast.parse(code + "\nclass Net(Base):\n    pass\n"))


def test_net_may_be_bound_by_an_assignment_or_under_a_condition():
    renamed = GOOD.replace("class Net", "class Model")
    contract.check(ast.parse(renamed + "\nNet = Model\n"))
    contract.check(ast.parse("import torch.nn as nn\n" + renamed + "\nif True:\n    class Net(Model):\n        pass\n"))


def test_a_net_that_is_no_module_is_refused():
    assert "no nn.Module" in flaw(GOOD.replace("class Net(nn.Module)", "class Net"))
