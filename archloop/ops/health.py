"""Whether a process should be left alone (livez), whether it can do its work (readyz), and its numbers (metrics)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field

from archloop.bus.port import Subscription
from archloop.contracts.base import Frozen
from archloop.errors import ArchloopError, Stuck, Unavailable

Ping = Callable[[], Awaitable[object]]
router = APIRouter(tags=["health"])

_PING_S = 5.0
_PATIENCE_S = 60.0


class Health(Frozen):
    """The health of a service; `checks` says of everything that it needs whether it answers, and if not, why."""

    status: Literal["ok", "starting", "failing"] = "ok"
    checks: Mapping[str, str] = Field(default_factory=dict)

    @property
    def http_status(self) -> int:
        """The HTTP status that a probe looks at."""
        return 200 if self.status == "ok" else 503


@dataclass
class Watched:
    """A service as probes see it: its consumers, and a ping for each thing that it needs."""

    subscriptions: Sequence[Subscription] = ()
    needs: Mapping[str, Ping] = field(default_factory=dict)
    started: bool = False
    _gone_since: float | None = None
    _stuck_since: float | None = None
    _asking: asyncio.Task[Health] | None = None

    def begin(self, subscriptions: Sequence[Subscription], needs: Mapping[str, Ping]) -> None:
        """Note that the service is up, with what there is to watch."""
        self.subscriptions, self.needs, self.started = subscriptions, needs, True

    async def live(self) -> Health:
        """Report failure once this process alone has been at fault for a minute.

        It is at fault where a consumer is gone though everything that it needs answers, or a server answers others and
        not this process. A server that is away is no reason for a restart, which would not bring it back.
        """
        needs = await self._pinged()
        now = time.monotonic()
        if all(each.alive for each in self.subscriptions) or needs.status != "ok":
            self._gone_since = None
        else:
            self._gone_since = self._gone_since or now
        for what, since in (("consumer", self._gone_since), ("connections", self._stuck_since)):
            if since is not None and now - since >= _PATIENCE_S:
                return Health(status="failing", checks={**needs.checks, what: f"gone for {now - since:.0f} s"})
        return Health()

    async def ready(self) -> Health:
        """Report ok once started, while every consumer is there and everything that is needed answers."""
        if not self.started:
            return Health(status="starting")
        health = await self._pinged()
        if all(each.alive for each in self.subscriptions):
            return health
        return Health(status="failing", checks={**health.checks, "consumer": "the broker does not know it (any more)"})

    async def _pinged(self) -> Health:
        """Ping everything once for all who ask at the same time."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Health:
        errors = await asyncio.gather(*map(_error, self.needs.values()))
        stuck = any(isinstance(error, Stuck) for error in errors)
        self._stuck_since = (self._stuck_since or time.monotonic()) if stuck else None
        checks = {name: str(error or "ok") for name, error in zip(self.needs, errors, strict=True)}
        return Health(status="failing" if any(errors) else "ok", checks=checks)


async def _error(ping: Ping) -> Exception | None:
    try:
        async with asyncio.timeout(_PING_S):
            await ping()
    except TimeoutError:
        return Unavailable(f"no answer in {_PING_S:g} s")
    except ArchloopError as error:
        return error
    return None


def _watched(request: Request) -> Watched:
    watched: Watched = request.app.state.watched
    return watched


@router.get("/livez", responses={503: {"model": Health}})
async def livez(request: Request, response: Response) -> Health:
    """Check that the event loop runs, the consumer is subscribed or about to be, and servers answer this process."""
    health = await _watched(request).live()
    response.status_code = health.http_status
    return health


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Check that everything that the service needs answers."""
    health = await _watched(request).ready()
    response.status_code = health.http_status
    return health


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Return the metrics in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
