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
from archloop.errors import ArchloopError

Ping = Callable[[], Awaitable[object]]
router = APIRouter(tags=["health"])

_PING_S = 5.0
_CONSUMER_GONE_S = 60.0


class Health(Frozen):
    """`checks` says of everything that the service needs whether it answers, and if not, why."""

    status: Literal["ok", "starting", "failing"] = "ok"
    checks: Mapping[str, str] = Field(default_factory=dict)

    @property
    def http_status(self) -> int:
        """What a probe looks at."""
        return 200 if self.status == "ok" else 503


@dataclass
class Watched:
    """A service as those who watch over it see it: its consumers, and a ping for each thing that it needs."""

    subscriptions: Sequence[Subscription] = ()
    needs: Mapping[str, Ping] = field(default_factory=dict)
    started: bool = False
    _gone_since: float | None = None

    def begin(self, subscriptions: Sequence[Subscription], needs: Mapping[str, Ping]) -> None:
        """The service is up."""
        self.subscriptions, self.needs, self.started = subscriptions, needs, True

    async def live(self) -> Health:
        """Failing when a consumer has been gone for a minute though everything that it needs answers.

        A broker that is away is no reason to be restarted: that would not bring it back.
        """
        now = time.monotonic()
        if all(each.alive for each in self.subscriptions):
            self._gone_since = None
            return Health()
        self._gone_since = self._gone_since or now
        if now - self._gone_since < _CONSUMER_GONE_S or (await self._pinged()).status != "ok":
            return Health()
        return Health(status="failing", checks={"consumer": f"gone for {now - self._gone_since:.0f} s"})

    async def ready(self) -> Health:
        """Ok once started, while every consumer is there and everything that is needed answers."""
        if not self.started:
            return Health(status="starting")
        health = await self._pinged()
        if all(each.alive for each in self.subscriptions):
            return health
        return Health(status="failing", checks={**health.checks, "consumer": "the broker does not know it (any more)"})

    async def _pinged(self) -> Health:
        said = await asyncio.gather(*map(_answer, self.needs.values()))
        checks = dict(zip(self.needs, said, strict=True))
        return Health(status="ok" if set(said) <= {"ok"} else "failing", checks=checks)


async def _answer(ping: Ping) -> str:
    try:
        async with asyncio.timeout(_PING_S):
            await ping()
    except TimeoutError:
        return f"no answer in {_PING_S:g} s"
    except ArchloopError as error:
        return str(error)
    return "ok"


def _watched(request: Request) -> Watched:
    watched: Watched = request.app.state.watched
    return watched


@router.get("/livez", responses={503: {"model": Health}})
async def livez(request: Request, response: Response) -> Health:
    """The event loop turns, and the consumer is subscribed or about to be."""
    health = await _watched(request).live()
    response.status_code = health.http_status
    return health


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Everything that the service needs answers."""
    health = await _watched(request).ready()
    response.status_code = health.http_status
    return health


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
