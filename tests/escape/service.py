"""A service of one evaluator, to be run in its own process: evaluates the files named, prints a JSON line for each.

`marks` in the line are those that the candidate made.
"""

import asyncio
import json
import sys
from pathlib import Path

from archloop.contracts.values import SandboxLevel
from archloop.errors import SandboxUnavailable
from archloop.ops import logging
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.escape.arena import Witness
from tests.unit.evaluator.support import HELDOUT, TINY, quadrants


async def main(level: str, files: list[str]) -> None:
    sandbox = ForkServerSandbox([Device.cpu()], required=SandboxLevel(level))
    witness = Witness(sandbox)
    evaluator = Evaluator(witness, quadrants, HELDOUT)
    try:
        await sandbox.start()
        print(json.dumps({"ready": sandbox.pid}), flush=True)
        for file in files:
            code = Path(file).read_text()
            evaluation = await evaluator.evaluate(code, TINY)
            line = evaluation.model_dump(mode="json") | {"marks": witness.taken(code)}
            print(json.dumps(line), flush=True)
    except SandboxUnavailable as error:
        print(json.dumps({"unavailable": str(error)}), flush=True)
    finally:
        await sandbox.close()
        await evaluator.close()


if __name__ == "__main__":
    logging.configure(level="WARNING")
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
