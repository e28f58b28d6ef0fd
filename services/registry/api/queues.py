"""What waits and what is parked, as it was counted last."""

from fastapi import APIRouter

from services.registry.api.ports import PortsDep
from services.registry.counting import QueueCount

router = APIRouter(tags=["queues"])


@router.get("/queues")
async def list_queues(ports: PortsDep) -> list[QueueCount]:
    """List every queue of the loop, in the order of its steps, and what is gone of it; empty until the first count."""
    return ports.counts.latest
