"""Options and servers that all tests share. Helpers are in tests/support.py."""

import pytest

from tests.servers import broker_url, mongo_url, mortal_broker, s3

__all__ = ["broker_url", "mongo_url", "mortal_broker", "s3"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs in the chaos tests")
