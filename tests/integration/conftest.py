import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.servers.collector import Collector, collecting
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.stack import Servers, Stack
from tests.unit.evaluator.support import HELDOUT, quadrants


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where the stack's services send their traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def servers(mortal_broker: RabbitMQ, mongo_url: str, s3: S3, collector: Collector) -> Servers:
    """Queues are named alike everywhere, so a stack has a virtual host that no other module uses."""
    name = f"stack-{uuid.uuid4().hex[:8]}"
    return Servers(mortal_broker.url, mongo_url, s3, database=name, bucket=name, traces=collector.url)


@pytest.fixture(scope="module")
def stack(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, started and ready."""
    stack = Stack(Path(tmp_path_factory.mktemp("stack")), servers)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluator() -> AsyncIterator[Evaluator]:
    """One with a real sandbox, on images of a few bright quadrants."""
    sandbox = ForkServerSandbox([Device.cpu()])
    made = Evaluator(sandbox, quadrants, HELDOUT)
    await sandbox.start()
    yield made
    await sandbox.close()
    await made.close()
