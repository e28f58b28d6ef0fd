"""What a part is given: the device, the time that it has, and where its figures go as they are taken."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.evaluator.devices import Device

ROOT = Path(__file__).parents[2]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """Setting of one part. Dry, everything is done on the CPU and small; what is measured then means nothing."""

    dry: bool
    gpu: str
    seconds: float
    folder: Path
    answer: Path
    data: Path | None = None
    model: str | None = None
    steps: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def device(self) -> Device:
        """Device of a slot of the evaluator."""
        return Device.cpu() if self.dry else Device.of_gpu(self.gpu)

    @property
    def torch_device(self) -> str:
        """The same for torch, in a process that sees this GPU alone."""
        return "cpu" if self.dry else "cuda"

    def few(self, small: int, full: int) -> int:
        """Return how many: `small` when dry."""
        return small if self.dry else full

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - (time.monotonic() - self.began)

    def note(self, step: str, **figures: Any) -> None:
        """Write down figures of a step; what was written stays, whatever becomes of the process."""
        with self.answer.open("a") as file:
            file.write(json.dumps({"step": step, **figures}, default=str) + "\n")
        print(step, json.dumps(figures, default=str), flush=True)

    async def step(self, name: str, work: Callable[[], Awaitable[Figures]]) -> None:
        """Do a step and write down its figures, or how it failed, or that no time was left for it.

        Those that the pattern `steps` does not find are passed over.
        """
        if not re.search(self.steps, name):
            return
        if self.left() <= 0:
            self.note(name, skipped="no time left")
            return
        began = time.monotonic()
        self.note(name, unfinished=True)
        try:
            async with asyncio.timeout(self.left()):
                figures = await work()
        except Exception as error:  # noqa: BLE001 - the steps after it go on
            traceback.print_exc()
            figures = {"failed": first_line(error)}
        self.note(name, **figures, unfinished=False, took_s=round(time.monotonic() - began, 2))


def first_line(error: BaseException) -> str:
    """Name an error with the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}"[:400] if said else type(error).__name__


async def command(*arguments: object, check: bool = True, **settings: str) -> str:
    """Run a Python module to its end, and return what it printed. Raises RuntimeError with its last line."""
    environment = {**os.environ, **settings}  # noqa: TID251 - for the command; nothing is read
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode and check:
        lines = (err or out).decode(errors="replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"ended with status {process.returncode}")
    return out.decode(errors="replace")
