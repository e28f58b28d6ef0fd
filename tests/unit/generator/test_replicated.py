"""Several model servers as one: adapters on all, each request where there is least to do, whoever comes and goes."""

import asyncio

import pytest

from archloop.errors import InvalidInput, Unavailable
from services.generator.backends.port import Decoding
from services.generator.backends.replicated import Replicated, resolved
from tests.unit.generator.fakes import BASE, FakeBackend

DECODING = Decoding(5)


class Fleet:
    """What stands behind a name, and the backends of all that ever stood there."""

    def __init__(self, *names) -> None:
        self.here, self.servers, self.now = list(names), {}, 0.0
        self.all = Replicated(self.addresses, self.connect, clock=lambda: self.now)

    async def addresses(self):
        return list(self.here)

    def connect(self, name):
        return self.servers.setdefault(name, FakeBackend())

    def asked(self):
        return {name: len(server.asked) for name, server in self.servers.items()}

    async def ask(self, adapter=None):
        return await self.all.generate("x", DECODING, 1, adapter)


@pytest.fixture
async def fleet():
    fleet = Fleet("a", "b")
    await fleet.all.adapters()
    return fleet


async def test_requests_go_where_there_is_least_to_do(fleet):
    for server in fleet.servers.values():
        server.open.clear()
    tasks = [asyncio.create_task(fleet.ask()) for _ in range(6)]
    while sum(fleet.asked().values()) < 6:
        await asyncio.sleep(0)
    assert fleet.asked() == {"a": 3, "b": 3}
    fleet.servers["b"].open.set()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while sum(task.done() for task in tasks) < 3:
        await asyncio.sleep(0)
    await fleet.ask()
    assert fleet.asked() == {"a": 3, "b": 4}
    fleet.servers["a"].open.set()
    await asyncio.gather(*tasks)


async def test_an_adapter_is_loaded_only_where_it_is_missing_and_counts_once_all_have_it(fleet, folder):
    fleet.servers["a"].loaded["code-v1"] = folder
    fleet.servers["a"].refuses = True
    assert await fleet.all.adapters() == frozenset()
    await fleet.all.load("code-v1", folder)
    assert fleet.servers["b"].loaded == {"code-v1": folder}
    assert await fleet.all.adapters() == {"code-v1"}


async def test_a_refusal_by_one_is_told_once_the_others_are_done(fleet, folder):
    fleet.servers["a"].refuses = True
    with pytest.raises(InvalidInput):
        await fleet.all.load("code-v1", folder)
    await fleet.all.unload("code-v1")
    assert not any(server.loaded for server in fleet.servers.values())


async def test_a_server_that_comes_is_found_and_given_what_it_lacks(fleet, folder):
    await fleet.all.load("code-v1", folder)
    fleet.here.append("c")
    assert await fleet.all.adapters() == frozenset()
    await fleet.all.load("code-v1", folder)
    assert await fleet.all.adapters() == {"code-v1"}
    assert fleet.servers["c"].loaded


async def test_a_server_that_goes_ends_what_it_has_and_gets_nothing_new(fleet):
    fleet.servers["a"].open.clear()
    last = asyncio.create_task(fleet.ask())
    while not fleet.asked()["a"]:
        await asyncio.sleep(0)
    fleet.here.remove("a")
    await fleet.all.adapters()
    for _ in range(3):
        await fleet.ask()
    assert fleet.asked() == {"a": 1, "b": 3}
    assert not fleet.servers["a"].closed
    fleet.servers["a"].open.set()
    assert (await last).text
    await asyncio.gather(*(fleet.all.adapters() for _ in range(5)))
    assert fleet.servers["a"].closed


async def test_one_that_fails_is_left_alone_for_a_while_rather_than_fed_for_being_idle(fleet):
    fleet.servers["a"].down = True
    outcomes = await asyncio.gather(*(fleet.ask() for _ in range(2)), return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 1
    for _ in range(10):
        await fleet.ask()
    fleet.servers["a"].down = False
    fleet.now += 6
    await fleet.ask()
    assert fleet.asked() == {"a": 1, "b": 11}


async def test_the_base_is_told_by_whoever_answers(fleet):
    assert await fleet.all.base() == BASE
    assert await fleet.all.ready()


async def test_with_nobody_there_it_is_unavailable():
    fleet = Fleet()
    for call in (fleet.ask(), fleet.all.base(), fleet.all.adapters(), fleet.all.ready()):
        with pytest.raises(Unavailable, match="no address"):
            await call


async def test_closing_closes_all(fleet):
    await fleet.all.close()
    assert all(server.closed for server in fleet.servers.values())


async def test_a_name_stands_for_each_of_its_addresses():
    assert "http://127.0.0.1:8080/x" in await resolved("http://localhost:8080/x")
    assert await resolved("http://[::1]:8080") == ["http://[::1]:8080"]
    with pytest.raises(Unavailable, match="nowhere"):
        await resolved("http://nowhere.invalid:80")
