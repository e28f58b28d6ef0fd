"""HTTP connections that clients cannot hold for ever by sending nothing, sending too slowly, or not reading."""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# Within this a request's head has come, after the connection or the last answer; what is sent is taken; a body that
# nobody reads, because it was refused, is over.
PATIENCE_S = 30.0


class Impatient(H11Protocol):
    """Aborts a connection that has had no request in hand for longer than the patience."""

    _idle_since = 0.0
    _last: RequestResponseCycle | None = None
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to check how long the connection has been idle."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._idle_since = self.loop.time()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop checking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        now = self.loop.time()
        if self._busy():
            self._idle_since = now
        elif now - self._idle_since >= PATIENCE_S:
            self.transport.abort()
            return
        self._look = self.loop.call_later(PATIENCE_S / 4, self._look_again)

    def _busy(self) -> bool:
        """Return whether a request is or was in hand since the last check, or its answer is still being sent."""
        before, self._last = self._last, self.cycle
        in_hand = self.cycle is not None and not self.cycle.response_complete
        return in_hand or self.cycle is not before or self.transport.get_write_buffer_size() > 0


def unread_no_longer_than(listener: socket.socket, seconds: float = PATIENCE_S) -> None:
    """End connections whose other end takes nothing for so long (Linux; accepted ones inherit it from the listener)."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * seconds))
