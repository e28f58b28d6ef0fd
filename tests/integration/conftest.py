import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import S3
from tests.servers.rabbitmq import RabbitMQ
from tests.stack import Servers, Stack


@pytest.fixture(scope="module")
def servers(mortal_broker: RabbitMQ, mongo_url: str, s3: S3) -> Servers:
    """Queues are named alike everywhere, so a stack has a broker that no other module uses."""
    name = f"stack-{uuid.uuid4().hex[:8]}"
    return Servers(mortal_broker.url, mongo_url, s3, database=name, bucket=name)


@pytest.fixture(scope="module")
def stack(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, started and ready."""
    stack = Stack(Path(tmp_path_factory.mktemp("stack")), servers)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
