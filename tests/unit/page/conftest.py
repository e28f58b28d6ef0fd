"""A registry in which a run has ended, and its page."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.page.pages import app_of, client_of
from tests.unit.registry.world import World, spec


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("page"))
    await made.request(spec())
    await made.run_to_end()
    return made


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(world)) as client:
        yield client
