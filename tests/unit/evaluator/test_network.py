import ast
import importlib
import resource

import pytest
import torch

from services.evaluator.harness.flaw import Flaw, flaw_of
from services.evaluator.harness.network import CPU, METHODS, Candidate, parameters
from tests.unit.evaluator.support import good
from tests.unit.evaluator.test_loader import task

TASK = task(shape=(1, 8, 8), classes=4)
META = torch.device("meta")


def candidate(code: str) -> Candidate:
    namespace: dict = {}
    exec(compile(ast.parse(code), "candidate.py", "exec"), namespace)
    return Candidate(namespace, TASK)


def refused(code: str) -> str:
    with pytest.raises(Flaw) as caught:
        candidate(code)
    assert caught.value.outcome == "contract_error"
    return caught.value.detail


def test_shapes_propagate_without_memory_behind_the_parameters():
    made = candidate(good())
    net = made.build_abstractly()
    assert {p.device for p in net.parameters()} == {META}
    assert made.fits_abstractly(net)
    assert parameters(net) == parameters(made.build()) == 8 * 9 + 8 + 16 + 33 * 4


def test_a_small_network_is_real_and_a_large_one_is_not_built():
    large = "self.large = torch.nn.Linear(4096, 1024)"
    assert {p.device for p in candidate(good()).build_small().parameters()} == {CPU}
    assert candidate(good(init=large)).build_small() is None
    assert parameters(candidate(good(init=large)).build_abstractly()) > 4096 * 1024


def test_a_large_parameter_is_refused_before_its_memory_is_written():
    huge = "self.huge = torch.nn.Parameter(torch.empty(2**31, dtype=torch.float32))"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert candidate(good(init=huge)).build_small() is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024**2


def test_lazy_parameters_are_no_large_ones():
    lazy = "self.lazy = torch.nn.LazyLinear(4)"
    assert candidate(good(init=lazy)).build_small() is not None


def test_the_hook_on_parameters_is_gone_afterwards():
    candidate(good(init="self.large = torch.nn.Linear(4096, 1024)")).build_small()
    torch.nn.Linear(4096, 1025)


def test_the_same_weights_each_time_whatever_was_drawn_before():
    made = candidate(good())
    torch.manual_seed(7)
    weights = [made.build().head.weight.clone() for _ in range(2)]
    assert torch.equal(*weights)


def test_what_no_abstract_tensor_can_is_not_held_against_the_candidate():
    made = candidate(good(init="self.scale = float(torch.ones(1).sum().item())"))
    assert made.build_abstractly() is None
    assert made.output_shape(made.build(), CPU) == (2, 4)


def test_a_forward_pass_that_looks_at_values_falls_back_too():
    made = candidate(good(forward="if x.sum() > 1e9: raise ValueError()"))
    net = made.build_abstractly()
    assert not made.fits_abstractly(net)
    assert made.output_shape(made.build(), CPU) == (2, 4)


@pytest.mark.parametrize(
    ("forward", "said"),
    [("return x", "shape (2, 1, 8, 8)"), ("return (x, x)", "tuple"), ("return x.mean((1, 2, 3))", "shape (2,)")],
)
def test_a_wrong_output_says_what_it_is_and_what_was_expected(forward, said):
    made = candidate(good(forward=forward))
    with pytest.raises(Flaw, match=r"expected .*\(2, 4\)") as caught:
        made.output_shape(made.build(), CPU)
    assert caught.value.outcome == "shape_error"
    assert said in caught.value.detail


def test_hyperparameters_are_the_protocols_and_the_middle_of_lemurs_range_for_others():
    made = candidate(good().replace('"momentum"}', '"momentum", "decay", "pretrained"}'))
    known = {"lr": 0.1, "momentum": 0.5, "batch": 8, "epoch": 1, "epoch_max": 1, "transform": "norm"}
    assert made.prm == known | {"decay": 0.5, "pretrained": 0}


def test_what_a_network_makes_of_its_hyperparameters_holds_when_it_is_set_up_and_not_for_the_next():
    made = candidate(good(init="prm['lr'] /= 2; prm['own'] = in_shape"))
    made.build()
    made.build()
    assert made.prm["lr"] == 0.05
    assert made.prm["own"] == (8, 1, 8, 8)


@pytest.mark.parametrize(
    "names",
    ["('lr', 'momentum')", "{'lr': .1, 'momentum': 0}.keys()", "(k for k in ('lr', 'momentum'))",
     "iter(['lr', 'momentum'])", "dict(lr=1, momentum=2)", "frozenset({'lr', 'momentum'})",
     "filter(None, ['lr', 'momentum'])"],
)  # fmt: skip
def test_hyperparameters_are_named_by_anything_that_can_be_iterated(names):
    assert candidate(good().replace('{"lr", "momentum"}', names)).prm == candidate(good()).prm


HEADER = "from torch import nn\ndef supported_hyperparameters(): return set()\n"
INIT = "    def __init__(self, a, b, c, d): super().__init__()\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [(HEADER + "Net = 3", "no class Net"),
     (HEADER + "Net = nn.Linear(1, 1)", "no class Net"),
     (HEADER + "class Net: pass", "no nn.Module"),
     (good().replace("def supported_hyperparameters", "def other"), "supported_hyperparameters"),
     (good().replace("in_shape, out_shape, prm, device", "in_shape"), "in_shape, out_shape, prm, device"),
     (good().replace('return {"lr", "momentum"}', "return 3"), "set of names"),
     (good().replace('return {"lr", "momentum"}', "return 'lr'"), "set of names")],
)  # fmt: skip
def test_a_module_without_a_network_to_call_is_named(code, said):
    assert said in refused(code)


@pytest.mark.parametrize(
    ("code", "said"),
    [*((good().replace(f"def {method}(", "def other("), f"no {method}") for method in METHODS),
     (HEADER + f"class Net(nn.Module):\n    train_setup = learn = lambda *a: 0\n{INIT}", "no forward"),
     (HEADER + f"class Net(nn.Module):\n    learn = 3\n    forward = train_setup = print\n{INIT}", "no learn"),
     (HEADER + "def Net(a, b, c, d): return 3", "makes a int")],
)  # fmt: skip
def test_what_is_built_must_be_a_network_with_every_method(code, said):
    with pytest.raises(Flaw) as caught:
        candidate(code).build()
    assert caught.value.outcome == "contract_error"
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("x"), "train_error"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory"),
        (PermissionError(1, "Operation not permitted"), "forbidden"),
        (OSError(30, "Read-only file system"), "forbidden"),
        (FileNotFoundError(2, "No such file"), "train_error"),
        (RuntimeError("can't start new thread"), "forbidden"),
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "contract_error"),
    ],
)
def test_memory_and_refusals_have_their_own_outcomes(error, outcome):
    assert flaw_of(error, "train_error").outcome == outcome
    wrapped = RuntimeError("while training")
    wrapped.__cause__ = error
    assert flaw_of(wrapped, "train_error").outcome == outcome


@pytest.mark.parametrize("attempt", [
    "multiprocessing.Value('i', lock=True)", "multiprocessing.Queue()",
    "multiprocessing.Process(target=print).start()", "subprocess.run(['true'])", "multiprocessing.Pool(1)",
])  # fmt: skip
def test_an_attempt_to_start_processes_is_named_whatever_stood_in_its_way(attempt, monkeypatch):
    def missing(*_args, **_options):
        raise FileNotFoundError(2, "No such file or directory")

    importlib.import_module("multiprocessing.synchronize")
    for place in ("_multiprocessing.SemLock", "os.fork", "_posixsubprocess.fork_exec", "subprocess._fork_exec"):
        monkeypatch.setattr(place, missing, raising=False)
    with pytest.raises(OSError, match="No such file") as caught:
        exec(f"import multiprocessing, subprocess\n{attempt}", {})
    told = flaw_of(caught.value, "train_error")
    assert told.outcome == "forbidden"
    assert "processes" in told.detail


def test_a_detail_names_the_candidates_own_line():
    with pytest.raises(AttributeError) as caught:
        candidate(good(init="self.nothing")).build()
    line = good(init="self.nothing").splitlines().index("        self.nothing") + 1
    assert flaw_of(caught.value, "build_error").detail.endswith(f"(line {line})")
