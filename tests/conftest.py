"""Options that all tests share. Helpers are in tests/support.py."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs in the chaos test of resuming")
