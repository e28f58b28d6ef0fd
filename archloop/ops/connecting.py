"""Connects a service to the servers that its settings name: one not up yet is waited for, a refusal is reported."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import SecretStr

from archloop.blobs.minio import Bucket, MinioBlobs
from archloop.bus.amqp import AmqpBus
from archloop.errors import ArchloopError, Misconfigured, Unavailable
from archloop.ops.presence import announced
from archloop.ops.settings import S3Settings, ServiceSettings

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0
T = TypeVar("T")


@asynccontextmanager
async def broker(settings: ServiceSettings) -> AsyncIterator[AmqpBus]:
    """Connect to the broker, with the loop's topology declared, and tell others that this process is there.

    Raises Misconfigured, and BusUnavailable where the broker is not there within the patience of the settings.
    """
    async with undeclared_broker(settings) as bus:
        await patiently(bus.connect, settings.start_patience_s)
        async with announced(bus, settings.service):
            yield bus


@asynccontextmanager
async def undeclared_broker(settings: ServiceSettings, otherwise: str = "") -> AsyncIterator[AmqpBus]:
    """Make a bus that connects when it is first used. Raises Misconfigured.

    Args:
        settings: Where the broker is.
        otherwise: What to do without a broker, added to the message where none is set.

    """
    setting = settings.variable("broker_url")
    url = needed(settings.broker_url, setting, f"amqp://user:password@host:5672/vhost{otherwise}")
    bus = AmqpBus(url, settings.service, setting=setting)
    try:
        yield bus
    finally:
        await bus.close()


async def bucket(settings: S3Settings, *, make: bool = False) -> MinioBlobs:
    """Reach the object store, and `make` its bucket if there is none.

    Raises Misconfigured, and Unavailable where it is not there within the patience of the settings.
    """
    blobs = MinioBlobs(
        Bucket(
            needed(settings.s3_endpoint, settings.variable("s3_endpoint"), "http://host:9000"),
            settings.s3_bucket,
            needed(settings.s3_access_key, settings.variable("s3_access_key"), "a key"),
            needed(settings.s3_secret_key, settings.variable("s3_secret_key"), "a key"),
            settings.s3_region,
            settings=settings.variable("s3"),
        )
    )
    await patiently(blobs.ensure_bucket if make else blobs.ping, settings.start_patience_s)
    return blobs


async def patiently(reach: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Call `reach` until it succeeds, and return its result.

    Raises Unavailable once `patience_s` seconds have passed since the first failure, however long that took to show, so
    `reach` is called twice at least. Anything else is raised at once.
    """
    deadline: float | None = None
    while True:
        try:
            return await reach()
        except Unavailable as error:
            now = asyncio.get_running_loop().time()
            deadline = now + patience_s if deadline is None else deadline
            if (left := deadline - now) <= 0:
                raise
            log.warning("not there yet, will try again", error=str(error), for_s=round(left))
            await asyncio.sleep(_AGAIN_S)


@contextmanager
def told_as(setting: str) -> Iterator[None]:
    """Raise errors about this machine's disk as Misconfigured that names the setting."""
    try:
        yield
    except OSError as error:
        raise Misconfigured(setting, f"{error.filename}: {error.strerror}") from error
    except ArchloopError as error:
        raise Misconfigured(setting, str(error)) from error


def made(folder: Path, setting: str) -> None:
    """Make the folder. Raises Misconfigured where it cannot be made or written."""
    with told_as(setting):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise Misconfigured(setting, f"{folder}: cannot be written")


def needed(value: str | SecretStr | None, setting: str, example: str) -> str:
    """Return the value. Raises Misconfigured where it is not set."""
    if not value:
        raise Misconfigured(setting, f"not set; expected for instance {example}")
    return value.get_secret_value() if isinstance(value, SecretStr) else value
