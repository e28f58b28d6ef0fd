"""Whether the process should be left alone (livez) and whether it can do its work (readyz)."""

from fastapi import APIRouter

from archloop.contracts.base import Frozen
from archloop.errors import Unavailable
from services.registry.api.ports import PortsDep

router = APIRouter(tags=["health"])


class Health(Frozen):
    """All is well; otherwise the answer is a problem."""

    status: str = "ok"


@router.get("/livez")
async def livez(ports: PortsDep) -> Health:
    """The event loop turns and the registry's consumer is subscribed."""
    if not ports.alive():
        raise Unavailable("the consumer of the registry's queue is gone")
    return Health()


@router.get("/readyz")
async def readyz(ports: PortsDep) -> Health:
    """The database and the object store answer."""
    await ports.store.ping()
    await ports.blobs.find("readyz")
    return Health()
