import pytest

from archloop.blobs.directory import DirectoryBlobs
from services.generator.adapter_files import AdapterFiles
from services.generator.adapters import AdapterManager
from tests.unit.generator.fakes import FakeBackend, Publisher


@pytest.fixture
def blobs(tmp_path):
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture
def publisher(blobs, tmp_path):
    return Publisher(blobs, tmp_path)


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def manager(backend, blobs, cache):
    return AdapterManager(backend, AdapterFiles(blobs, cache), max_bytes=100_000)


@pytest.fixture
def folder(tmp_path):
    """As much of an adapter's folder as the backend in memory looks at."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    return tmp_path
