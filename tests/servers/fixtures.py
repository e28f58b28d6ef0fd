"""Real servers for tests: those that the environment names, else started here with their data in a temporary folder.

`ARCHLOOP_TEST_AMQP_URL`, `ARCHLOOP_TEST_MONGO_URL` and `ARCHLOOP_TEST_S3_URL` (http://key:secret@host:port) name
servers that are there.
Where a server cannot be had, its tests are skipped, or fail under `CI` or `ARCHLOOP_TESTS_REQUIRE_SERVERS`.
"""

import os
from collections.abc import Iterator

import pytest

from tests.servers.mongo import mongo_server
from tests.servers.process import required
from tests.servers.rabbitmq import RabbitMQ, rabbitmq_server
from tests.servers.s3 import S3, seaweedfs


@pytest.fixture(scope="session")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Started once, as that takes longer than most tests do."""
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of a virtual host that all tests of the session share."""
    given = os.environ.get("ARCHLOOP_TEST_AMQP_URL")
    return given or str(request.getfixturevalue("_broker").shared_url)


@pytest.fixture(scope="module")
def mortal_broker(_broker: RabbitMQ) -> RabbitMQ:
    """A broker that tests may kill if they start it again, in a virtual host of the module's own."""
    _broker.revive()
    _broker.enter()
    return _broker


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MongoDB server, with a user who may do everything."""
    if given := os.environ.get("ARCHLOOP_TEST_MONGO_URL"):
        yield given
        return
    with required("a MongoDB server"), mongo_server(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server, with a key that may do everything."""
    if given := os.environ.get("ARCHLOOP_TEST_S3_URL"):
        yield S3.of(given)
        return
    with required("an S3 server"), seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        yield server.s3
