import pytest
import pytest_asyncio

from services.generator.modelserver.process import spawned
from tests.servers.rolls import Rolls
from tests.unit.generator.tiny_model import save_adapter, save_base


@pytest.fixture(scope="session")
def base_model(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def adapter_folders(tmp_path_factory, base_model):
    """Three adapters that answer differently."""
    root = tmp_path_factory.mktemp("adapters")
    return [save_adapter(base_model, root / str(seed), seed=seed) for seed in range(3)]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model_server(base_model, tmp_path_factory):
    """The root URL of our CPU server, a process of its own, with the base model alone."""
    log = tmp_path_factory.mktemp("server") / "log"
    async with spawned(str(base_model), slots=16, threads=1, log=log) as url:
        yield url


@pytest_asyncio.fixture
async def rolls(tmp_path):
    made = []

    def make(**options):
        made.append(Rolls(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        await each.backend.close()
        assert not each.alive(), "nothing is left running"
