"""Backing off after out of memory: the same training with fewer pairs at once, more often."""

from collections.abc import Awaitable, Callable

import structlog

from services.trainer import metrics, shares
from services.trainer.job import OUT_OF_MEMORY, Failed, Job, Tuned

log = structlog.get_logger(__name__)


async def backing_off(job: Job, run: Callable[[Job], Awaitable[Tuned | Failed]]) -> Tuned | Failed:
    """Run the job, each time in a process whose memory is fresh, until it fits or single pairs do not."""
    while True:
        report = await run(job)
        if not isinstance(report, Failed) or report.code != OUT_OF_MEMORY:
            return report
        shape = shares.smaller(job.batches)
        if shape is None:
            return report
        metrics.OUT_OF_MEMORY.inc()
        log.warning("out of memory: less at once", had=job.batches.model_dump(), has=shape.model_dump())
        job = job.model_copy(update={"shape": shape})
