"""Options and servers that all tests share. Helpers are in tests/support.py."""

import gc
import signal

import pytest
import structlog

from services.evaluator.secret import PUBLISHED
from tests.servers.fixtures import _broker, broker_url, mongo_url, mortal_broker, s3
from tests.support import HELDOUT_SETTING

__all__ = ["_broker", "broker_url", "mongo_url", "mortal_broker", "s3"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=2, help="SIGKILLs in the chaos tests")
    parser.addoption("--away", type=float, default=12, help="seconds without a broker, in the test of the services")
    parser.addoption("--broker-kills", type=int, default=1, help="of the broker, in the chaos test of the services")
    parser.addoption("--store-kills", type=int, default=1, help="of the stores, likewise")
    parser.addoption("--cycles", type=int, default=2, help="of the run, likewise")
    parser.addoption("--candidates", type=int, default=8, help="per cycle, likewise")
    parser.addoption("--gpu", help="index or UUID of a GPU, whose slots the tests of the sandbox then take")
    parser.addoption("--fuzz", type=int, default=80, help="malformed messages to each queue in the fuzz tests")


def pytest_configure() -> None:
    """Shells start what is in their background with SIGINT ignored, and programs under test would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Thousands of tests and all that they import are there to stay: nobody looks for garbage among them."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor later."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _heldout_secret():
    """That of no user: the same on every machine, and nothing is made in a home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HELDOUT_SETTING, PUBLISHED)
        yield


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """A program that a test runs in this process sets logging up for all of it; the next test must not know."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)
