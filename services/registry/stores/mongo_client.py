"""The connection to MongoDB: how it is opened, and its errors as Archloop's own."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, DocumentTooLarge, InvalidName, OperationFailure, PyMongoError

from archloop.addresses import place_of
from archloop.errors import InvalidInput, Misconfigured, Stuck, Unavailable

URL_SETTING = "ARCHLOOP_REGISTRY_MONGO_URL"
DATABASE_SETTING = "ARCHLOOP_REGISTRY_MONGO_DATABASE"

Client = AsyncMongoClient[dict[str, Any]]
T = TypeVar("T")
_PING_S = 2.0
_going_on: set[asyncio.Task[Any]] = set()

# UserNotFound, Unauthorized, AuthenticationFailed, and the hosted service's own.
_REFUSED = {11, 13, 18, 8000}
# BSONObjectTooLarge, KeyTooLong.
_TOO_LARGE = {10334, 17280}
_FORM = "a MongoDB connection string such as mongodb://user:password@host:27017, the password percent-encoded"


def uncut(store: type[T]) -> type[T]:
    """Decorate a class so that its async methods are finished in tasks of their own when their callers are cancelled.

    The driver counts connections under locks that it takes again when it is cancelled. A second cancellation, which a
    request whose client has gone gets, comes before it has them: the count stays wrong, and once that has happened
    often enough nobody is given a connection any more. Timeouts bound the tasks.
    """
    for name, verb in inspect.getmembers(store, inspect.isfunction):
        if inspect.iscoroutinefunction(verb) and not name.startswith("_"):
            setattr(store, name, _shielded(verb))
    return store


def _shielded(verb: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(verb)
    async def shielded(*args: Any, **kwargs: Any) -> Any:
        task = asyncio.create_task(verb(*args, **kwargs))
        _going_on.add(task)
        task.add_done_callback(_done)
        return await asyncio.shield(task)

    return shielded


def _done(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()  # who waits is told of it; where nobody does any more, asyncio would tell the log


async def reached(client: Client, url: str) -> None:
    """Return if the server answers. Raises Stuck where it answers a new connection only, else what that one raises."""
    with suppress(TimeoutError, PyMongoError):
        async with asyncio.timeout(_PING_S):
            await _shielded(client.admin.command)("ping")
            return
    place, another = host_of(url), connected(url, _PING_S)
    try:
        with translated(place):
            await another.admin.command("ping")
    finally:
        await another.close()
    raise Stuck(f"{URL_SETTING}: registry database {place} answers a new connection, but not this process any more")


async def closed(client: Client) -> None:
    """Close the client, without waiting for long where it does not close."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PING_S):
            await _shielded(client.close)()


def connected(url: str, wait_s: float) -> Client:
    """Make a client, which connects when first used. Raises Misconfigured.

    It acknowledges a write once that is in the journal of most members.
    """
    if not url.startswith(("mongodb://", "mongodb+srv://")):  # The driver would take it for a host's name.
        raise _not_a_url(url)
    wait_ms = round(wait_s * 1000)
    try:
        return AsyncMongoClient(
            url,
            appname="archloop-registry",
            tz_aware=True,
            w="majority",
            journal=True,
            serverSelectionTimeoutMS=wait_ms,
            connectTimeoutMS=wait_ms,
            waitQueueTimeoutMS=4 * wait_ms,
            socketTimeoutMS=4 * wait_ms,
        )
    except (PyMongoError, ValueError, TypeError):
        # The driver's words may repeat a part of the URL, which has the password.
        raise _not_a_url(url) from None


def _not_a_url(url: str) -> Misconfigured:
    return Misconfigured(URL_SETTING, f"{place_of(url)} is not {_FORM}")


def host_of(url: str) -> str:
    """Return the URL's hosts, without user, password and options."""
    return url.partition("://")[2].rpartition("@")[2].partition("/")[0]


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Raise the driver's errors as Unavailable where the same may succeed later, or as Misconfigured, InvalidInput."""
    try:
        yield
    except OperationFailure as error:
        raise _failure(host, error) from error
    except ConfigurationError:
        raise Misconfigured(URL_SETTING, f"{host!r} is not where {_FORM} leads") from None
    except InvalidName as error:
        raise Misconfigured(DATABASE_SETTING, str(error)) from None
    except OverflowError as error:
        raise InvalidInput("number", str(error), "an integer of at most 64 bits") from error
    except (DocumentTooLarge, BSONError, UnicodeEncodeError) as error:
        raise InvalidInput("message", str(error), "a document that MongoDB can hold") from error
    except PyMongoError as error:
        raise _away(host, error) from error


def _failure(host: str, error: OperationFailure) -> Exception:
    # Not every server that speaks the protocol gives a code.
    if error.code in _REFUSED or str(error).startswith("Authentication"):
        return Misconfigured(URL_SETTING, f"{host} refuses this user or password, or the user may not do this: {error}")
    if error.code in _TOO_LARGE:
        return InvalidInput("message", str(error), "a document that MongoDB can hold")
    return _away(host, error)


def _away(host: str, error: PyMongoError) -> Unavailable:
    # The driver goes on to tell its timeouts, and the whole topology.
    problem = str(error).partition(" (configured timeouts: ")[0]
    return Unavailable(f"{URL_SETTING}: registry database {host}: {problem}")
