"""The graph of a network that is built in the sandbox, but neither trained nor scored."""

import numpy as np

from archloop import sources
from archloop.protocols.model import Protocol
from services.evaluator.evaluator import unreadable
from services.evaluator.harness import frames
from services.evaluator.harness.task import Task
from services.evaluator.reading import Reading, read
from services.evaluator.sandbox.port import Job, Sandbox
from services.evaluator.sandbox.shared import SharedArray


async def traced(sandbox: Sandbox, code: str, protocol: Protocol) -> Reading:
    """Build the network in the sandbox, and return what is known about it at the protocol's input shape.

    The outcome `ok` says only that it could be built and its shapes are right. Raises Unavailable when the sandbox
    failed.
    """
    flaw = unreadable(code)
    if flaw is not None:
        return flaw
    nothing = [SharedArray.of(np.zeros(1, np.uint8)) for _ in range(3)]
    try:
        job = Job(
            sources.encoded(code), _task(protocol), nothing, protocol.limits, result_bytes=2 * frames.OUTCOME_LIMIT
        )
        return read(await sandbox.run(job), protocol.limits, count=None, classes=protocol.dataset.classes)
    finally:
        for array in nothing:
            array.close()


def _task(protocol: Protocol) -> Task:
    channels = protocol.input_shape[0]
    return Task(
        shape=protocol.input_shape,
        classes=protocol.dataset.classes,
        batch=protocol.batch,
        epochs=protocol.epochs,
        seed=protocol.seed,
        flip=False,
        threads=1,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        hyperparameters=protocol.hyperparameters.model_dump(),
        graph_only=True,
    )
