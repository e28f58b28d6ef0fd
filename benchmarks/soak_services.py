"""The two services of the soak that are not quite their own: an evaluator that sleeps, a registry on SQLite.

Evaluation is what a run's time goes into, and no test server for MongoDB bears ten thousand candidates.
"""

import ast
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archloop.blobs.minio import MinioBlobs
from archloop.bus.consumer import Consumer
from archloop.contracts.topology import EVALUATOR
from archloop.contracts.values import Evaluation, Outcome, sha256_of
from archloop.ops.connecting import broker, bucket
from archloop.ops.serve import Served, main
from archloop.ops.settings import S3Settings, config
from archloop.protocols.model import Protocol
from services.evaluator.handlers import EvaluatorHandler
from services.registry import app as registry
from services.registry.settings import RegistrySettings
from services.registry.stores.sqlite import SqliteStore
from tests.unit.evaluator.support import NoResults

NAP_S = 0.05


class SleeperSettings(S3Settings):
    """An evaluator's, with the object store instead of the registry."""

    service = "evaluator"
    own_port = 8002
    model_config = config("evaluator")


@dataclass(frozen=True)
class Sleeper:
    """Sleeps, and finds an accuracy that depends on the code alone; what Python cannot read is a syntax error."""

    async def evaluate(self, code: str, protocol: Protocol) -> Evaluation:
        """Never fails."""
        await asyncio.sleep(NAP_S)
        digest = sha256_of(code)
        try:
            ast.parse(code)
        except (SyntaxError, ValueError):
            return self.rejected("not Python", protocol, digest)
        accuracy = 0.2 + int(digest[:4], 16) / 2**16 * 0.6
        return self._evaluation(Outcome.OK, protocol, digest, accuracy=accuracy, test_accuracy=accuracy)

    def rejected(self, problem: str, protocol: Protocol, code_sha256: str) -> Evaluation:
        """What is not even put to sleep for."""
        return self._evaluation(Outcome.SYNTAX_ERROR, protocol, code_sha256, detail=problem)

    def _evaluation(self, outcome: Outcome, protocol: Protocol, code_sha256: str, **more: Any) -> Evaluation:
        about = {"protocol": protocol.name, "protocol_sha256": protocol.sha256, "code_sha256": code_sha256}
        return Evaluation(outcome=outcome, stage="predict", seconds=NAP_S, sandbox_level="process", **about, **more)


@asynccontextmanager
async def sleeping(settings: SleeperSettings) -> AsyncIterator[Served]:
    """An evaluator that sleeps."""
    async with broker(settings) as bus:
        blobs: MinioBlobs = await bucket(settings)
        handler = EvaluatorHandler(Sleeper(), NoResults(), blobs)  # type: ignore[arg-type]
        subscription = await Consumer(bus, EVALUATOR, handler, settings.service).start()
        try:
            yield Served([subscription], {"broker": bus.ping})
        finally:
            await subscription.drain()


@asynccontextmanager
async def on_sqlite(settings: RegistrySettings) -> AsyncIterator[Served]:
    """The registry, its database in the file that the last argument names."""
    store = SqliteStore(Path(sys.argv[-1]))
    try:
        async with broker(settings) as bus:
            blobs = await bucket(settings, make=True)
            async with registry.running(settings, bus=bus, blobs=blobs, store=store) as app:
                yield Served((app.subscription,), {"broker": bus.ping}, app.api)
    finally:
        await store.close()


if __name__ == "__main__":
    sys.exit(main(RegistrySettings, on_sqlite) if sys.argv[1] == "registry" else main(SleeperSettings, sleeping))
