import ast
import resource

import pytest
import torch

from services.evaluator.harness.flaw import Flaw, judged
from services.evaluator.harness.network import CPU, Candidate, parameters
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
    made = candidate(good().replace('"momentum"}', '"momentum", "decay"}'))
    assert made.prm == {"lr": 0.1, "momentum": 0.5, "decay": 0.5, "batch": 8, "epoch": 1, "transform": "norm"}


def test_a_class_that_only_looks_like_a_network_is_named():
    header = "def supported_hyperparameters(): return set()\n"
    assert "no subclass" in refused(header + "Net = 3")
    assert "no forward" in refused(
        header
        + "from torch import nn\nclass Base(nn.Module):\n    train_setup = learn = lambda *a: 0\nclass Net(Base):\n"
        "    def __init__(self, a, b, c, d): super().__init__()\n"
    )
    assert "in_shape, out_shape, prm, device" in refused(good().replace("in_shape, out_shape, prm, device", "in_shape"))
    assert "set of names" in refused(good().replace('return {"lr", "momentum"}', "return 3"))


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
    ],
)
def test_memory_and_refusals_have_their_own_outcomes(error, outcome):
    assert judged(error, "train_error").outcome == outcome
    wrapped = RuntimeError("while training")
    wrapped.__cause__ = error
    assert judged(wrapped, "train_error").outcome == outcome


def test_a_detail_names_the_candidates_own_line():
    with pytest.raises(AttributeError) as caught:
        candidate(good(init="self.nothing")).build()
    line = good(init="self.nothing").splitlines().index("        self.nothing") + 1
    assert judged(caught.value, "build_error").detail.endswith(f"(line {line})")
