"""Options and servers that all tests share. Helpers are in tests/support.py."""

import os
from collections.abc import Iterator

import pytest

from tests.servers import mongo_url, s3
from tests.servers.rabbitmq import PROGRAM, RabbitMQ

__all__ = ["mongo_url", "s3"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs in the chaos tests")


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of the session's own, or the one that ARCHLOOP_TEST_AMQP_URL names."""
    if url := os.environ.get("ARCHLOOP_TEST_AMQP_URL"):
        yield url
        return
    server = own_broker(tmp_path_factory)
    yield server.url
    server.close()


def own_broker(tmp_path_factory: pytest.TempPathFactory) -> RabbitMQ:
    """One that a test may kill. Skips where RabbitMQ is not installed; in CI that is a failure."""
    if not PROGRAM.exists():
        missing("RabbitMQ is not installed: apt-get install rabbitmq-server")
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    return server


def missing(reason: str) -> None:
    """A server that cannot be had here."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
