"""One connection to the broker: made when it is needed, and made anew once it is lost.

aio-pika's own robust connection restores consumers behind one's back and does not restore those that the broker
cancelled (aio-pika #334, #231); a plain connection and one place that starts over are easier to trust.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from archloop.addresses import place_of
from archloop.bus.port import BusUnavailable, Gone
from archloop.errors import ArchloopError, Misconfigured

log = structlog.get_logger(__name__)

# A worker that is frozen shows no sign of life for two of these, and its messages go to another.
HEARTBEAT_S, _LONGEST_HEARTBEAT_S = 30, 300
_BLOCKED_S, _CLOSED_S = 0.05, 2.0
_FORM = "amqp://user:password@host:5672/vhost, or amqps://…, with special characters percent-encoded"
_REFUSED = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed, ChannelAccessRefused)
# What the client raises when the broker, the connection or the channel is gone.
AWAY = (AMQPError, OSError, RuntimeError)


class BrokerRefused(ArchloopError):
    """The broker answers and refuses: wrong password, virtual host or permission, or a queue with other arguments."""

    code = "broker_refused"


class Link:
    """A lazily made connection. `url`, which `setting` holds, may carry a password that no message of ours repeats."""

    def __init__(self, url: str, name: str, timeout_s: float = 10.0, setting: str = "broker_url") -> None:
        self._url, self.shown = _checked(url, setting)
        self._name, self.timeout_s = name, timeout_s
        self._connection: AbstractConnection | None = None
        self._lock = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether there is a connection that neither side has closed; `is_closed` is about our own side only."""
        return self._connection is not None and self._connection.connected.is_set()

    async def channel(self, **options: Any) -> AbstractChannel:
        """Open a new channel. Raises BusUnavailable, BrokerRefused."""
        with self.translated():
            connection = await self._connected()
            async with asyncio.timeout(self.timeout_s):
                return await connection.channel(**options)

    @asynccontextmanager
    async def briefly(self) -> AsyncIterator[AbstractChannel]:
        """Open a channel for a few requests, and close it after them. Raises BusUnavailable, BrokerRefused."""
        with self.translated():
            channel = await self.channel(publisher_confirms=False)
            try:
                yield channel
            finally:
                with suppress(*AWAY):
                    await asyncio.wait_for(channel.close(), _CLOSED_S)

    async def taking(self) -> bool:
        """Return whether the broker takes messages; one short of memory or disk tells connections that publish."""
        connection: Any = self._connection
        if connection is None or not self.open:
            return True
        try:
            await asyncio.wait_for(connection.transport.connection.ready(), _BLOCKED_S)
        except TimeoutError:
            return False
        return True

    async def require_taking(self) -> None:
        """Raise BusUnavailable where the broker takes no messages for now."""
        if not await self.taking():
            raise BusUnavailable(f"{self.shown}: it takes no messages for now, for it is short of memory or disk")

    async def version(self) -> tuple[int, ...]:
        """Return the broker's version, for instance (4, 0, 5). Raises BusUnavailable, BrokerRefused."""
        with self.translated():
            connection: Any = await self._connected()
            text = connection.transport.connection.server_properties.get("version", b"0")
            return tuple(int(part) for part in _text(text).split("-")[0].split(".") if part.isdigit())

    async def close(self) -> None:
        """Close the connection; what was unacknowledged goes back to its queue."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*AWAY):
                await asyncio.wait_for(connection.close(), _CLOSED_S)

    async def _connected(self) -> AbstractConnection:
        async with self._lock:
            if self._connection is None or not self.open:
                self._connection = await aio_pika.connect(
                    self._url, timeout=self.timeout_s, client_properties={"connection_name": self._name}
                )
                log.info("connected to broker", broker=self.shown, connection=self._name)
            return self._connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the client's errors as Archloop's own, which name the broker without its password."""
        try:
            yield
        except _REFUSED as error:
            raise BrokerRefused(f"{self.shown}: {_reason(error)}") from error
        except InvalidFrameError as error:
            raise BrokerRefused(
                f"{self.shown}: no access to this virtual host, or there is none of this name"
            ) from error
        except ChannelNotFoundEntity as error:
            raise Gone(f"{self.shown}: {_reason(error)}") from error
        except ChannelPreconditionFailed as error:
            raise BrokerRefused(f"{self.shown}: a queue is there with other arguments: {_reason(error)}") from error
        except DeliveryError as error:
            raise BusUnavailable(f"{self.shown}: message not taken: {_returned(error)}") from error
        except AWAY as error:
            raise BusUnavailable(f"{self.shown}: {_reason(error)}") from error


def _checked(url: str, setting: str) -> tuple[URL, str]:
    """Return the URL to connect to, and how messages show it: with its setting and without its password."""
    parsed = _parsed(url)
    if parsed is None:
        raise Misconfigured(setting, f"{place_of(url)} is not {_FORM}")
    shown = str(parsed.with_password("***") if parsed.password else parsed)
    return parsed.update_query(heartbeat=_heartbeat_s(parsed, setting)), f"{setting}: {shown}"


def _heartbeat_s(url: URL, setting: str) -> int:
    """Return the URL's heartbeat, or the default: without one a frozen worker would keep its messages for ever."""
    given = url.query.get("heartbeat", str(HEARTBEAT_S))
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= _LONGEST_HEARTBEAT_S:
        raise Misconfigured(setting, f"heartbeat={given!r} is not a number of seconds from 1 to {_LONGEST_HEARTBEAT_S}")
    return int(given)


def _parsed(url: str) -> URL | None:
    """Parse the URL; return None where it cannot be right.

    With a bare # or / in its password, what follows looks like another part of the URL.
    """
    try:
        parsed = URL(url)
    except ValueError:
        return None
    sound = parsed.scheme in {"amqp", "amqps"} and parsed.host and "@" not in f"{parsed.path_qs}#{parsed.fragment}"
    return parsed if sound else None


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _returned(error: DeliveryError) -> str:
    frame = error.frame
    return getattr(frame, "reply_text", None) or f"the broker refused it ({type(frame).__name__})"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes | bytearray) else str(value)
