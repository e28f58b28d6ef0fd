"""A service with so many slots at that level: reads lists of sources, one JSON line each, evaluates each list at once.

It answers a line with what became of each source and the marks that it made.
"""

import asyncio
import json
import sys
from typing import Any

from archloop.contracts.values import SandboxLevel
from archloop.errors import SandboxUnavailable
from archloop.ops import logging
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.escape.arena import Witness
from tests.unit.evaluator.support import HELDOUT, TINY, quadrants


async def main(level: str, slots: int) -> None:
    sandbox = ForkServerSandbox([Device.cpu()] * slots, required=SandboxLevel(level))
    witness = Witness(sandbox)
    evaluator = Evaluator(witness, quadrants, HELDOUT)
    try:
        await sandbox.start()
        _say(sandbox.level)
        while line := await asyncio.to_thread(sys.stdin.readline):
            codes = json.loads(line)
            told = await asyncio.gather(*(evaluator.evaluate(code, TINY) for code in codes))
            _say([(e.model_dump(mode="json"), witness.taken(code)) for e, code in zip(told, codes, strict=True)])
    except SandboxUnavailable as error:
        _say(f"unavailable: {error}")
    finally:
        await sandbox.close()
        await evaluator.close()


def _say(message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    logging.configure(level="WARNING")
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
