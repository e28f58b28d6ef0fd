"""`python -m services.evaluator.isolation`: check that the isolation of a deployment works; exit with 1 if not.

A network policy that nothing enforces looks like one that works, until somebody tries. This tries, in the place and
with the settings of the service, before it starts: connections that must fail, and the sandbox.
"""

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from archloop.errors import ArchloopError, Misconfigured
from archloop.ops.serve import once
from services.evaluator.app import opened_evaluator
from services.evaluator.settings import EvaluatorSettings

log = structlog.get_logger(__name__)


class NotIsolated(ArchloopError):
    """An address answers that must be out of reach."""

    code = "not_isolated"


class Unresolved(ArchloopError):
    """Names cannot be asked for here: who answers, or whether nobody does, stays unknown."""

    code = "unresolved"


class Address(NamedTuple):
    """One address behind a name."""

    family: int
    host: str
    port: int


async def check(settings: EvaluatorSettings) -> None:
    """Check network and sandbox. Raises as `nobody_answers`, and SandboxUnavailable."""
    await nobody_answers(settings)
    async with opened_evaluator(settings) as evaluator:
        log.info("isolated", level=evaluator.sandbox.level, out_of_reach=settings.out_of_reach)


async def nobody_answers(settings: EvaluatorSettings) -> None:
    """Check that no address in `out_of_reach` accepts a TCP connection.

    Raises NotIsolated, Misconfigured for a name that there is not, Unresolved where no resolver answers.
    """
    places = [place for place in settings.out_of_reach.split(",") if place]
    open_ones = [place for place in places if await _answers(place, settings)]
    if open_ones:
        raise NotIsolated(
            f"{', '.join(open_ones)} can be reached from here, which no evaluator may: this network enforces no policy"
            " that refuses it. On Kubernetes take a network plugin that enforces NetworkPolicy, and apply ours"
        )


async def _answers(place: str, settings: EvaluatorSettings) -> bool:
    addresses = await _addresses(place, settings.variable("out_of_reach"))
    return any(await asyncio.gather(*(_connects(each, settings.out_of_reach_s) for each in addresses)))


async def _addresses(place: str, setting: str) -> Sequence[Address]:
    parts = urlsplit(f"//{place}")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, ValueError) as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            raise Unresolved(
                f"names do not resolve: no answer about {place}. On Kubernetes the policy `names` opens the way"
                " to kube-dns; another resolver, or a cache on the node, needs a component of deploy/k8s/components/dns"
            ) from error
        raise Misconfigured(setting, f"{place} is not known, so nobody can say whether it answers: {error}") from error
    return [Address(family, str(at[0]), int(at[1])) for family, _, _, _, at in found]


async def _connects(address: Address, within_s: float) -> bool:
    """Return whether the address accepts a connection; a refusal, no route and silence all mean that it does not."""
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(address.host, address.port, family=address.family)
    except OSError:
        return False
    writer.close()
    return True


def main() -> int:
    """Check, and return the exit code; a failure is one line on standard error."""
    return once(EvaluatorSettings, check)


if __name__ == "__main__":
    sys.exit(main())
