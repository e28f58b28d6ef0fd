"""What an evaluation costs on a GPU: its start, against a bare loop, by slots, by precision, out of memory."""

import asyncio
import json
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from archloop.protocols import Protocol
from benchmarks import evaluator_alone
from benchmarks.evaluator import network
from benchmarks.gpu.bench import Bench, cifar, loading
from benchmarks.gpu.data import prepared
from benchmarks.gpu.given import Figures, Given, command
from services.evaluator.harness.task import Task
from tests.known_good import SOURCES

_FLOOR = """
import os, sys, time, torch
device = sys.argv[1]
def seconds():
    began = time.monotonic()
    torch.zeros(1, device=device).item()
    return time.monotonic() - began
if sys.argv[2] == "fork":
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, str(seconds()).encode())
        os._exit(0)
    os.close(writer)
    print(os.read(reader, 99).decode())
else:
    print(seconds())
"""
# The clock of the kernel is the same in the sandbox: a candidate can say when CUDA was ready.
_READY = network(8).replace(
    "        self.to(self.device)",
    "        torch.zeros(1, device=self.device).item()\n        raise ValueError(__import__('time').monotonic())",
)
# Takes memory by the batch: more than it may have at the protocol's batch, and half of that fits.
_HUNGRY = network(8).replace(
    "            self.optimizer.zero_grad()",
    "            held = torch.ones(len(inputs), BYTES, dtype=torch.uint8, device=self.device)\n"
    "            del held\n"
    "            self.optimizer.zero_grad()",
)


async def measure(given: Given) -> None:
    if given.data is not None:
        root = await prepared(given)
        given = replace(given, data=root)
    await given.step("start, the floor", partial(_floor, given))
    await given.step("start of a child", partial(_start, given))
    await given.step("out of memory", partial(_half_batch, given))
    await given.step(
        "against a bare loop, 32 px", partial(_against_bare, given, cifar(given, train=_train(given, 45_000)))
    )
    for slots in (2,) if given.dry else (1, 2, 4):
        await given.step(f"candidates an hour, {slots} slots", partial(_pace, given, slots))
    large = cifar(given, train=_train(given, 10_000), resize=given.few(48, 256))
    await given.step("against a bare loop, 256 px", partial(_against_bare, given, large))
    await given.step("precision and memory format", partial(_conditions, given))


def _train(given: Given, full: int) -> int:
    return given.few(64, full)


async def _floor(given: Given) -> Figures:
    """Take the first use of the device, in a fresh process and in a fork of one that has torch."""
    figures: dict[str, list[float]] = {"fresh process, s": [], "after a fork, s": []}
    for _ in range(given.few(1, 5)):
        for name, how in zip(figures, ("fresh", "fork"), strict=True):
            figures[name].append(float(await command("-c", _FLOOR, given.torch_device, how)))
    return figures


async def _start(given: Given) -> Figures:
    """Take the seconds from the order until CUDA is ready in the child, in which the source was checked too."""
    seconds: list[float] = []
    async with Bench.of(given) as bench:
        for _ in range(given.few(2, 15)):
            told = await bench.evaluator.evaluate(_READY, cifar(given, train=64))
            ready = re.search(r"[\d.]+", told.detail)
            if told.stage != "train" or ready is None:
                raise RuntimeError(f"{told.outcome} in {told.stage}: {told.detail}")
            seconds.append(float(ready[0]) - bench.watched.ordered)
    return {"until CUDA is ready, s": seconds[1:], "goal, s": 1.0}


async def _against_bare(given: Given, protocol: Protocol) -> Figures:
    """Alternate an evaluation and a bare loop over the same source, images, batches and device."""
    plain = protocol.model_copy(update={"precision": None, "memory_format": None})
    code, rounds = network(32), given.few(1, 3)
    walls: dict[str, list[float]] = {"evaluation, s": [], "bare loop, s": [], "evaluation ÷ bare": []}
    async with Bench.of(given) as bench:
        await bench.scored(code, plain)
        folder = await asyncio.to_thread(_laid_out, given, bench, code, plain)
        for _ in range(rounds):
            began = time.monotonic()
            told = await bench.scored(code, plain)
            ours = time.monotonic() - began
            bare = json.loads((await command(evaluator_alone.__file__, folder, PYTHONPATH=".")).splitlines()[-1])
            for name, value in zip(walls, (ours, bare["wall"], ours / bare["wall"]), strict=True):
                walls[name].append(value)
    return {**walls, "stages, s": told.stage_seconds, "accuracy": told.accuracy, "bare accuracy": bare["accuracy"]}


def _laid_out(given: Given, bench: Bench, code: str, protocol: Protocol) -> Path:
    """Write what the bare loop works on: the same source, task and arrays as the sandbox was given."""
    folder = given.folder / f"bare{protocol.resize}"
    folder.mkdir()
    data = loading(given)(protocol.dataset)
    arrays: dict[str, Any] = {
        name: getattr(data, name)
        for name in ("train_images", "train_labels", "heldout_images", "heldout_labels", "validation")
    }
    np.savez(folder / "data.npz", **arrays)
    task = replace(Task.decode(bench.watched.job.task.encode()), device=given.torch_device)
    (folder / "task.json").write_text(task.encode())
    (folder / "net.py").write_text(code)
    return folder


async def _pace(given: Given, slots: int) -> Figures:
    """Take candidates an hour, of five known-good networks by turns, with so many slots on one GPU."""
    protocol = cifar(given, train=_train(given, 45_000))
    count = given.few(1, 5) * slots
    codes = [list(SOURCES.values())[number % len(SOURCES)] for number in range(count)]
    async with Bench.of(given, slots, memory_fraction=1 / slots) as bench:
        await bench.evaluator.evaluate("x = (", protocol)
        began = time.monotonic()
        told = await asyncio.gather(*(bench.evaluator.evaluate(code, protocol) for code in codes))
        seconds = time.monotonic() - began
    outcomes = {outcome: sum(one.outcome == outcome for one in told) for outcome in {one.outcome for one in told}}
    return {"candidates an hour": 3600 * count / seconds, "candidates": count, "outcomes": outcomes}


async def _conditions(given: Given) -> Figures:
    """Take the training's seconds in each precision and memory format, and what came of it."""
    protocol = cifar(given, train=_train(given, 20_000))
    figures: Figures = {}
    async with Bench.of(given) as bench:
        for name in list(SOURCES)[: given.few(1, 3)]:
            for precision in (None, "bfloat16"):
                for layout in (None, "channels_last"):
                    changed = protocol.model_copy(update={"precision": precision, "memory_format": layout})
                    told = await bench.scored(SOURCES[name], changed)
                    where = f"{name}, {told.precision}, {told.memory_format}"
                    figures[where] = {"train, s": told.stage_seconds.get("train"), "accuracy": told.accuracy}
    return figures


async def _half_batch(given: Given) -> Figures:
    """Let a network run out of memory for real at the whole batch; at half of it, it must be scored."""
    protocol = cifar(given, train=_train(given, 640), batch=32, flip=False, precision=None, memory_format=None)
    fraction, size = 0.05, 0
    if given.dry:
        limits = protocol.limits.model_copy(update={"memory_bytes": 2**30})
        protocol, size = protocol.model_copy(update={"limits": limits}), 40 * 2**20
    else:
        total = int(await command("-c", "import torch; print(torch.cuda.mem_get_info()[1])"))
        size = int(1.4 * fraction * total / 32)
    async with Bench.of(given, memory_fraction=fraction) as bench:
        told = await bench.evaluator.evaluate(_HUNGRY.replace("BYTES", str(size)), protocol)
    return {"outcome": told.outcome, "batch": told.batch, "asked": protocol.batch, "detail": told.detail}
