"""The servers that a service needs, by its settings: what is not up yet is waited for, what refuses us is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from pydantic import SecretStr

from archloop.blobs.minio import Bucket, MinioBlobs
from archloop.bus.amqp import AmqpBus
from archloop.errors import Misconfigured, Unavailable
from archloop.ops.settings import S3Settings, ServiceSettings

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0
T = TypeVar("T")


@asynccontextmanager
async def broker(settings: ServiceSettings) -> AsyncIterator[AmqpBus]:
    """Raises Misconfigured, BusUnavailable after the patience of the settings."""
    setting = settings.variable("broker_url")
    url = needed(settings.broker_url, setting, "amqp://user:password@host:5672/vhost")
    bus = AmqpBus(url, settings.service, setting=setting)
    try:
        await patiently(bus.connect, settings.start_patience_s)
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
    """What it returns, once it succeeds. Raises the last Unavailable after the patience, anything else at once."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            return await reach()
        except Unavailable as error:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise
            log.warning("not there yet, will try again", error=str(error), for_s=round(left))
            await asyncio.sleep(_AGAIN_S)


def needed(value: str | SecretStr | None, setting: str, example: str) -> str:
    """The value. Raises Misconfigured where it is not set."""
    if not value:
        raise Misconfigured(setting, f"not set; expected for instance {example}")
    return value.get_secret_value() if isinstance(value, SecretStr) else value
