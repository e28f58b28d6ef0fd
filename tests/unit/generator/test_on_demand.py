"""A model server that runs while it is needed, and is started again when it has gone."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from archloop.errors import Unavailable
from services.generator.backends.on_demand import OnDemand
from services.generator.backends.port import Decoding
from services.generator.errors import AdapterMissing, TooLong
from tests.unit.generator.fakes import FakeBackend


class Servers:
    """Servers in memory: those that were started, and how many run."""

    def __init__(self) -> None:
        self.started: list[FakeBackend] = []
        self.running = 0
        self.fails = False

    @asynccontextmanager
    async def start(self):
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("the GPU is full")
        self.started.append(FakeBackend())
        self.running += 1
        try:
            yield self.started[-1]
        finally:
            self.running -= 1


@pytest.fixture
def servers() -> Servers:
    return Servers()


def ask(backend: OnDemand, adapter: str | None = None):
    return backend.generate("prompt", Decoding(4), 0, adapter)


async def test_requests_together_start_one_server_and_the_end_stops_it(servers) -> None:
    backend = OnDemand(servers.start)
    assert not backend.started
    assert not await backend.ready()
    await asyncio.gather(*(ask(backend) for _ in range(8)))
    assert (len(servers.started), servers.running) == (1, 1)
    assert await backend.ready()
    await backend.close()
    await backend.close()
    assert servers.running == 0


async def test_a_server_that_made_room_comes_back_without_adapters(servers, tmp_path) -> None:
    backend = OnDemand(servers.start)
    (tmp_path / "adapter_config.json").touch()
    (tmp_path / "adapter_model.safetensors").touch()
    await backend.load("a", tmp_path)
    assert await backend.adapters() == {"a"}
    await ask(backend, "a")
    await backend.stop()
    assert servers.running == 0
    await backend.unload("a")
    assert servers.running == 0, "to forget what has gone starts nothing"
    with pytest.raises(AdapterMissing):
        await ask(backend, "a")
    assert (len(servers.started), servers.running) == (2, 1)
    assert await backend.adapters() == frozenset()


async def test_a_server_that_has_died_is_started_again_at_the_next_request(servers) -> None:
    backend = OnDemand(servers.start)
    for died in range(1, 4):
        await ask(backend)
        servers.started[-1].down = True
        with pytest.raises(Unavailable):
            await ask(backend)
        assert (len(servers.started), servers.running) == (died, 0)


async def test_a_refusal_of_a_sound_server_does_not_end_it(servers) -> None:
    backend = OnDemand(servers.start)
    await backend.start()
    servers.started[-1].room = 1
    with pytest.raises(TooLong):
        await ask(backend)
    with pytest.raises(AdapterMissing):
        await ask(backend, "unknown")
    assert (len(servers.started), servers.running) == (1, 1)


async def test_a_start_that_fails_fails_the_request_and_the_next_tries_again(servers) -> None:
    backend = OnDemand(servers.start)
    servers.fails = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="full"):
            await ask(backend)
    servers.fails = False
    await ask(backend)
    assert servers.running == 1
