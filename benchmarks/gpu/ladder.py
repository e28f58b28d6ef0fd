"""Which wall of the sandbox does CUDA stumble over? One after another is put up around a fork that starts CUDA.

The walls are the sandbox's own. Each rung is a process of its own, and has the walls of those before it.
"""

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.gpu.given import ROOT, Given
from services.evaluator.sandbox import fork_server

RUNGS = ("bare process", "fork", "jail", "descriptors", "memory", "landlock", "seccomp")
_PROBE = """
import json, os, sys
rung, device, number = json.loads(sys.argv[1])
from benchmarks.gpu.ladder import probe
probe(rung, device, number)
"""
_LIMIT_S = 60


def climbed(given: Given) -> dict[str, str]:
    """Return what became of each rung, up to the first that fails; dry, of the last, which has all walls."""
    told: dict[str, str] = {}
    for rung in RUNGS[-1:] if given.dry else RUNGS:
        told[rung] = _tried([rung, given.torch_device, None if given.dry else given.gpu])
        if told[rung] != "ok":
            break
    return told


def _tried(arguments: list[Any]) -> str:
    command = [sys.executable, "-c", _PROBE, json.dumps(arguments)]
    as_the_sandbox = {**fork_server._ENVIRONMENT, **fork_server._for_driver()}  # noqa: SLF001
    env = {**as_the_sandbox, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"no end within {_LIMIT_S} s"
    lines = done.stderr.strip().splitlines()
    return "ok" if done.returncode == 0 else (lines[-1][:300] if lines else f"status {done.returncode}")


def probe(rung: str, device: str, number: str | None) -> None:
    """Put up the walls up to `rung` and start CUDA behind them."""
    from archloop.protocols.model import Limits
    from services.evaluator.sandbox import child, gpu, host, kernel, landlock, limits, seccomp
    from services.evaluator.sandbox.contents import needed
    from services.evaluator.sandbox.limits import Bounds

    height = RUNGS.index(rung)
    on_gpu = number is not None
    known = host.confined(needed(gpu=on_gpu), namespaces=True, gpu=on_gpu) if height >= RUNGS.index("jail") else None
    import torch

    if height >= RUNGS.index("fork") and (pid := os.fork()):
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    if on_gpu and known is not None:
        os.environ.update(gpu.environment(str(number), known.cards, alone=height >= RUNGS.index("landlock")))  # noqa: TID251
    if height >= RUNGS.index("descriptors") and known is not None:
        memory = height >= RUNGS.index("memory")
        limits.confine(
            Bounds(**Limits(memory_bytes=2**30).model_dump()), file_bytes=0, processes=64, descriptors=gpu.DESCRIPTORS,
            address_space=None, data=limits.data_segment(known.proc) + gpu.HOST_ADDRESSES if memory else None,
        )  # fmt: skip
    if height >= RUNGS.index("landlock") and known is not None and known.landlock:
        kernel.no_new_privileges()
        landlock.confine(known.landlock, child._file_rights(known, number))  # noqa: SLF001
    if height >= RUNGS.index("seccomp"):
        seccomp.confine(may_write=False, on_gpu=on_gpu)
    print(torch.zeros(1, device=device).sum().item())
