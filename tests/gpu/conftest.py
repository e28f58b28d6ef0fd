"""Tests that need a GPU: skipped with the reason where there is none, an error with ARCHLOOP_REQUIRE_GPU=1."""

import os
from pathlib import Path

import pytest

from benchmarks.gpu import machine

REQUIRED = "ARCHLOOP_REQUIRE_GPU"
_ABSENT = pytest.StashKey[str]()


def pytest_collection_modifyitems(config, items):
    """Mark them, and find out once whether there is a GPU."""
    own = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in own:
        item.add_marker(pytest.mark.gpu)
        item.add_marker(pytest.mark.timeout(180))
    if own:
        config.stash[_ABSENT] = machine.absent()


@pytest.fixture(autouse=True, scope="session")
def _gpu(request):
    reason = request.config.stash[_ABSENT]
    if reason and os.environ.get(REQUIRED) == "1":
        raise RuntimeError(f"{REQUIRED} is 1, and there is no GPU: {reason}")
    if reason:
        pytest.skip(f"no GPU: {reason}")


@pytest.fixture(scope="session")
def number(request) -> str:
    """The GPU that the tests take."""
    return request.config.getoption("--gpu") or "0"
