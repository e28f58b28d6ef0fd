"""Tells a run what a service cannot do for it, so that the run asks again or ends with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from archloop.bus.consumer import Handler
from archloop.contracts.base import Message
from archloop.contracts.messages import Rejected
from archloop.errors import ArchloopError, Misconfigured, SandboxUnavailable

log = structlog.get_logger(__name__)
_OUR_OWN_TROUBLE = (Misconfigured, SandboxUnavailable)


@dataclass(frozen=True)
class RejectingHandler:
    """Answers with a rejection where the handler raises an error that no retry mends.

    Only where a run waits for the answer, and so asks again, and only where it is the request that cannot be met.
    Any other error is raised on, and the message is parked: nobody else would ever hear of it.
    """

    handler: Handler
    rejected: Callable[[Any, str], Rejected]

    async def handle(self, message: Any) -> Sequence[Message]:
        """Let the handler handle the message; return a rejection where it cannot be done."""
        try:
            return await self.handler.handle(message)
        except ArchloopError as error:
            if error.retryable or isinstance(error, _OUR_OWN_TROUBLE) or message.run_uid is None:
                raise
            log.error("rejected", reason=str(error), code=error.code)
            return [self.rejected(message, f"{error.code}: {error}")]
