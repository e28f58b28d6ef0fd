"""Candidates at the level that is asked for, some of them side by side, in a service of their own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from archloop.contracts.values import Evaluation
from tests.escape.arena import skip_or_fail

# At `process` it runs as a user who has nothing else to run, where it can.
USER = 4321
_OPTIONS = {"namespaces": [], "process": [f"user={USER}", "bare"] if os.geteuid() == 0 else ["bare"]}
LEVELS = tuple(_OPTIONS)
_LINE = 1 << 20


@dataclass
class Place:
    """A running service."""

    process: asyncio.subprocess.Process

    async def tried(self, *codes: str) -> list[tuple[Evaluation, dict[str, str]]]:
        """What became of each, all of them at once, and the marks that each made."""
        self.process.stdin.write(json.dumps(codes).encode() + b"\n")
        return [(Evaluation.model_validate(told), marks) for told, marks in await self.line()]

    async def line(self) -> Any:
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 250))


@asynccontextmanager
async def place(level: str, slots: int = 1) -> AsyncIterator[Place]:
    """Skips where there is none of that level."""
    service = ["-m", "tests.escape.side_by_side", level, str(slots)]
    command = ["-m", "tests.escape.restricted", *_OPTIONS[level], "--", *service]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "limit": _LINE}
    process = await asyncio.create_subprocess_exec(sys.executable, *command, **pipes)
    try:
        given = Place(process)
        if (reached := await given.line()) not in (level, "container"):
            skip_or_fail(reached)
        yield given
    finally:
        process.stdin.close()
        await process.wait()
