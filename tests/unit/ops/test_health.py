"""What probes are told, and when."""

import asyncio

import pytest

from archloop.errors import Misconfigured, Stuck, Unavailable
from archloop.ops import health
from archloop.ops.health import Watched


class Consumer:
    alive = True

    async def drain(self) -> None: ...

    async def abandon(self) -> None: ...


class Server:
    up = True

    async def ping(self) -> None:
        if not self.up:
            raise Unavailable("broker: connection refused")


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def watched(consumer: Consumer, server: Server) -> Watched:
    return Watched([consumer], {"broker": server.ping}, started=True)


async def test_until_it_is_up_a_service_is_live_and_not_ready() -> None:
    watched = Watched()
    assert (await watched.live()).status == "ok"
    assert (await watched.ready()).status == "starting"


async def test_a_sound_service_is_live_and_ready(watched: Watched) -> None:
    assert (await watched.live()).http_status == (await watched.ready()).http_status == 200


async def test_readiness_says_what_is_away_and_why_while_the_service_stays_alive(
    watched: Watched, consumer: Consumer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.0)
    server.up = consumer.alive = False
    ready = await watched.ready()
    assert (ready.http_status, ready.checks["broker"]) == (503, "broker: connection refused")
    assert (await watched.live()).status == "ok"
    server.up = consumer.alive = True
    assert (await watched.ready()).status == "ok"


async def test_a_consumer_that_stays_away_from_a_sound_broker_is_a_reason_to_restart(
    watched: Watched, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.alive = False
    assert (await watched.live()).status == "ok"
    assert (await watched.ready()).status == "failing"
    monkeypatch.setattr(health, "_PATIENCE_S", 0.0)
    assert (await watched.live()).http_status == 503


async def test_a_server_that_never_answers_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PING_S", 0.01)
    watched = Watched([], {"database": lambda: asyncio.sleep(60)}, started=True)
    assert (await watched.ready()).checks == {"database": "no answer in 0.01 s"}


async def test_a_server_that_answers_others_and_not_us_for_a_minute_is_a_reason_to_restart(
    watched: Watched, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Stuck("database: not this process"), None, Stuck("database: not this process")])

    async def ping() -> None:
        if error := next(answers, Stuck("database: not this process")):
            raise error

    watched.needs = {"broker": server.ping, "database": ping}
    assert (await watched.live()).status == "ok"
    assert (await watched.live()).status == "ok"
    monkeypatch.setattr(health, "_PATIENCE_S", 0.0)
    failing = await watched.live()
    assert (failing.http_status, failing.checks["database"]) == (503, "database: not this process")


@pytest.mark.parametrize("error", [Unavailable("away"), Misconfigured("URL", "refused"), TimeoutError()])
async def test_a_server_that_answers_nobody_is_none_however_long(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def ping() -> None:
        raise error

    monkeypatch.setattr(health, "_PATIENCE_S", 0.0)
    watched.needs = {"database": ping}
    assert (await watched.ready()).status == "failing"
    assert (await watched.live()).status == (await watched.live()).status == "ok"


async def test_all_who_ask_at_once_cause_one_look_that_nobody_cuts_short() -> None:
    pings, answer = [], asyncio.Event()

    async def ping() -> None:
        pings.append(1)
        await answer.wait()

    watched = Watched([], {"database": ping}, started=True)
    asking = [asyncio.create_task(watched.ready()) for _ in range(100)]
    while not pings:
        await asyncio.sleep(0)
    for each in asking[:50]:
        each.cancel()
    answer.set()
    told = await asyncio.gather(*asking[50:])
    assert {each.status for each in told} == {"ok"}
    assert len(pings) == 1
