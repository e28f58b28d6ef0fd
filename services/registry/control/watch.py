"""Watches a run for collapse, by the rows of its closed cycles: the same whenever it is looked at."""

from archloop.contracts.values import Collapse
from services.registry.control import collapse
from services.registry.control.collapse import Diversity
from services.registry.records import Run
from services.registry.stores.paging import pages
from services.registry.stores.port import Store


async def watched(store: Store, run: Run, cycle: int) -> Collapse | None:
    """Return how this cycle ended and what holds from then on; None where the run is not watched."""
    if run.spec.collapse is None:
        return None
    return collapse.watched([await _diversity(store, run, number) for number in range(cycle + 1)], run.spec.collapse)


async def widened(store: Store, run: Run, cycle: int) -> Run:
    """Return the run as it is asked for this cycle, and for the training before it."""
    found = await watched(store, run, cycle - 1)
    if found is None:
        return run
    return run.model_copy(update={"spec": collapse.widened(run.spec, found.step)})


async def _diversity(store: Store, run: Run, cycle: int) -> Diversity:
    found = Diversity()
    async for page in pages(store, run.run_id, cycle):
        found = found.plus(Diversity.of(page))
    return found
