"""How many evaluator slots fit into the memory that is left on GPUs, and what share of a GPU each may use."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from archloop.gpus import Gpu
from archloop_lab.estimate import CONTEXT_GB
from archloop_lab.needs import Machine

MOST_SLOTS = 4  # on one GPU: more wait for each other
HOST_GB = 3.0  # of the machine's own memory for a candidate on a GPU
_SPARE, _LEAST_SPARE_GB = 0.04, 0.5
_ROUNDING = 1e-9


class SlotPlan(NamedTuple):
    """Slots of each GPU, and the share of a GPU's memory that each may use."""

    slots: dict[Gpu, int]
    fraction: float

    def gb(self, gpu: Gpu) -> float:
        """Return what all slots of a GPU may use together."""
        return self.slots.get(gpu, 0) * (self.fraction * gpu.memory_gb + CONTEXT_GB)


def usable_gb(gpu: Gpu) -> float:
    """Return what of a GPU's free memory is given away; some is left for the driver, and for what grows."""
    return max(0.0, gpu.free_gb - max(_LEAST_SPARE_GB, _SPARE * gpu.memory_gb))


def evaluator_slots(left: Mapping[Gpu, float], slot_gb: float, machine: Machine) -> SlotPlan:
    """Fill what is left with slots, as many as the machine has cores and memory for, spread over the GPUs.

    Every slot may use the same share of its GPU's memory, so where GPUs differ the smallest decides.
    """
    if not left:
        return SlotPlan({}, 1.0)
    share = (slot_gb - CONTEXT_GB) / min(gpu.memory_gb for gpu in left)
    fitting = {
        gpu: min(MOST_SLOTS, int(gb / (share * gpu.memory_gb + CONTEXT_GB) + _ROUNDING)) for gpu, gb in left.items()
    }
    slots = _bounded({gpu: count for gpu, count in fitting.items() if count}, machine)
    if not slots:
        return SlotPlan({}, 1.0)
    most = min((left[gpu] / count - CONTEXT_GB) / gpu.memory_gb for gpu, count in slots.items())
    return SlotPlan(slots, math.floor(1000 * max(share, min(1.0, most))) / 1000)


def _bounded(slots: Mapping[Gpu, int], machine: Machine) -> dict[Gpu, int]:
    """Keep as many as there are cores, and host memory, for; the first of every GPU before any second."""
    bound = max(1, min(machine.cores, int(machine.memory_gb / HOST_GB)))
    ordered = [gpu for number in range(MOST_SLOTS) for gpu, count in slots.items() if number < count][:bound]
    return {gpu: ordered.count(gpu) for gpu in slots if gpu in ordered}
