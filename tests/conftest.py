"""Options that all tests share. Helpers are in tests/support.py."""

import pytest

from tests.servers import mongo_url, s3

__all__ = ["mongo_url", "s3"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs in the chaos test of resuming")
