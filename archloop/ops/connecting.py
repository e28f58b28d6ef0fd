"""The servers that a service needs, by its settings: what is not up yet is waited for, what refuses us is told."""

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
from archloop.ops.settings import S3Settings, ServiceSettings

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0
T = TypeVar("T")


@asynccontextmanager
async def broker(settings: ServiceSettings) -> AsyncIterator[AmqpBus]:
    """The loop's topology is there. Raises Misconfigured, BusUnavailable after the patience of the settings."""
    async with undeclared_broker(settings) as bus:
        await patiently(bus.connect, settings.start_patience_s)
        yield bus


@asynccontextmanager
async def undeclared_broker(settings: ServiceSettings, otherwise: str = "") -> AsyncIterator[AmqpBus]:
    """It is connected to when first used. `otherwise` is what to do without one. Raises Misconfigured."""
    setting = settings.variable("broker_url")
    url = needed(settings.broker_url, setting, f"amqp://user:password@host:5672/vhost{otherwise}")
    bus = AmqpBus(url, settings.service, setting=setting)
    try:
        yield bus
    finally:
        await bus.close()


async def bucket(settings: S3Settings, *, make: bool = False) -> MinioBlobs:
    """The object store. Raises Misconfigured, Unavailable after the patience."""
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
    """What it returns, once it succeeds. Raises anything but Unavailable at once, and this after the patience.

    Which begins with the first failure, however long that takes to show, so everything is tried twice at least.
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
    """Something on this machine's disk that a setting names. Raises Misconfigured where it cannot be had."""
    try:
        yield
    except OSError as error:
        raise Misconfigured(setting, f"{error.filename}: {error.strerror}") from error
    except ArchloopError as error:
        raise Misconfigured(setting, str(error)) from error


def made(folder: Path, setting: str) -> None:
    """The folder is there and can be written. Raises Misconfigured."""
    with told_as(setting):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise Misconfigured(setting, f"{folder}: cannot be written")


def needed(value: str | SecretStr | None, setting: str, example: str) -> str:
    """The value. Raises Misconfigured where it is not set."""
    if not value:
        raise Misconfigured(setting, f"not set; expected for instance {example}")
    return value.get_secret_value() if isinstance(value, SecretStr) else value
