"""What must be true of the fork server before its first fork: one thread, no driver, no backward pass with GPUs."""

import os

import pytest
import torch

from archloop.errors import SandboxUnavailable
from services.evaluator.harness import warmup
from services.evaluator.sandbox import server

LIBRARY = "7f00-7f01 r-xp 00000000 08:01 5 {}\n"


@pytest.fixture
def proc(tmp_path):
    """A /proc of one process, with so many threads and these libraries."""

    def made(threads: int, *libraries: str) -> int:
        for number in range(threads):
            (tmp_path / f"self/task/{number}").mkdir(parents=True)
        (tmp_path / "self/maps").write_text("".join(map(LIBRARY.format, libraries)))
        return os.open(tmp_path, os.O_RDONLY)

    return made


@pytest.mark.parametrize(
    "libraries",
    [
        (),
        ("/usr/lib/libc.so.6",),
        ("/site/torch/lib/libtorch_cuda.so",),
        ("/x/libcudart.so.13",),
        ("/x/libcudnn.so.9",),
    ],
)
def test_a_process_that_can_fork_is_left_alone(proc, libraries):
    server._check_forkable(proc(1, *libraries))


@pytest.mark.parametrize("threads", [2, 3, 17])
def test_threads_are_refused_with_their_number(proc, threads):
    with pytest.raises(SandboxUnavailable, match=f"has {threads} threads"):
        server._check_forkable(proc(threads))


@pytest.mark.parametrize("driver", ["/usr/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.580.159.04"])
def test_a_loaded_driver_is_refused_by_its_name(proc, driver):
    with pytest.raises(SandboxUnavailable, match=driver):
        server._check_forkable(proc(1, "/usr/lib/libc.so.6", driver))


@pytest.mark.parametrize("backward", [True, False])
def test_warming_up_for_gpus_takes_no_backward_pass(monkeypatch, backward):
    passes, steps = [], []
    differentiate, step = torch.autograd.backward, torch.optim.SGD.step

    def counted(*args, **kwargs):
        passes.append(1)
        differentiate(*args, **kwargs)

    def stepped(self, *args, **kwargs):
        steps.append([p.grad is not None for group in self.param_groups for p in group["params"]])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "backward", counted)
    monkeypatch.setattr(torch.optim.SGD, "step", stepped)
    warmup.run(backward=backward)
    assert len(passes) == backward
    assert steps == [[True] * 6]
