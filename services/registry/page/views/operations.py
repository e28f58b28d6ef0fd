"""What an operator looks at: queues, what is parked in them, the servers, and on what candidates run."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from archloop.contracts.base import type_of
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk
from archloop.contracts.values import Evaluation
from archloop.ops.health import Health
from services.registry.page.library import Library
from services.registry.page.rendering import page
from services.registry.page.routing import DeskDep, PageRoute, frame

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_LOOKED_AT = 500
_RUNS = 20
_TYPES = (type_of(CandidateEvaluatedOk), type_of(CandidateEvaluatedFailed))


class Device(NamedTuple):
    """On what candidates ran, and how strongly they were confined."""

    name: str
    device: str
    driver: str
    level: str


@router.get("/page/system")
async def show(request: Request, desk: DeskDep) -> Response:
    """Show servers, queues, services, and the devices of the evaluations recorded last."""
    health = await desk.watched.ready() if desk.watched is not None else None
    return page(
        "system.html",
        **frame(request),
        health=health or Health(),
        counts=desk.counts.latest,
        services=desk.counts.services,
        gpus=desk.counts.gpus,
        devices=await _devices(desk.library),
        looked_at=_LOOKED_AT,
    )


async def _devices(library: Library) -> Sequence[tuple[Device, int]]:
    """Count the devices of the evaluations recorded last."""
    found: Counter[Device] = Counter()
    shelves = {id(entry.shelf): entry.shelf for entry in (await library.entries(0, _RUNS)).items}
    for shelf in shelves.values():
        after = max(0, await shelf.store.last_event() - 4 * _LOOKED_AT)
        for event in await shelf.store.events(after, types=_TYPES, limit=_LOOKED_AT):
            ran = Evaluation.model_validate(event.data["evaluation"])
            found[Device(ran.device_name or ran.device, ran.device, ran.driver, ran.sandbox_level.value)] += 1
    return found.most_common()
