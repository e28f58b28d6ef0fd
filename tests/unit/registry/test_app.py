"""The registry as it runs: on a bus, with its clock and its port."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.consumer import Consumer
from archloop.bus.memory import MemoryBus
from archloop.bus.port import BusUnavailable, Parked
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import GenerationRequested, RunRequested
from archloop.contracts.topology import EVALUATOR, GENERATOR, NOVELTY, QUEUES, REGISTRY, TRAINER
from archloop.errors import Misconfigured
from archloop.ops.http import listening
from services.registry.app import RegistryApp, running
from services.registry.control.clock import tick
from services.registry.control.controller import Controller
from services.registry.counting import Counts
from services.registry.handlers import RegistryHandler
from services.registry.records import Recorded, utc_now
from services.registry.settings import RegistrySettings
from services.registry.stores.sqlite import SqliteStore
from tests.unit.registry.world import RUN, Evaluator, Generator, Novelty, Trainer, evaluation, spec

SETTINGS = RegistrySettings(tick_s=0.02)


class Stage:
    """A bus with fakes of the other services on it, and what the registry needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bus, self.blobs = MemoryBus(), DirectoryBlobs(folder / "blobs")
        self.store = SqliteStore(folder / "registry.sqlite")

    async def others(self, generator: Generator | None = None) -> None:
        fakes = (
            (GENERATOR, generator or Generator()),
            (EVALUATOR, Evaluator()),
            (NOVELTY, Novelty()),
            (TRAINER, Trainer()),
        )
        for queue, fake in fakes:
            await Consumer(self.bus, queue, fake, queue.name).start()

    async def request(self) -> None:
        await self.bus.publish(Envelope.of(RunRequested(run_id=RUN, spec=spec()), source="test"))

    async def until_finished(self) -> None:
        while (run := await self.store.run(RUN)) is None or run.finished is None:
            await asyncio.sleep(0.01)
        assert run.reason == "completed"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.bus.close()
    await stage.store.close()


async def test_a_run_goes_to_its_end_on_the_bus(stage: Stage) -> None:
    await stage.others()
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        await stage.until_finished()
    assert await stage.bus.parked() == []


async def test_an_unfinished_run_goes_on_when_the_registry_starts(stage: Stage) -> None:
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        while not await stage.store.cycles(RUN):
            await asyncio.sleep(0.01)
    stage.bus = MemoryBus()
    await stage.others()
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.until_finished()


async def test_requests_wait_for_services_that_start_later(stage: Stage) -> None:
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        while await stage.bus.depth(GENERATOR) < 6:
            await asyncio.sleep(0.01)
        await stage.others()
        await stage.until_finished()


async def test_answers_that_wait_are_heard_before_anything_is_asked_again(stage: Stage) -> None:
    controller = Controller(stage.store, stage.blobs)
    await RegistryHandler(stage.store, controller).handle(RunRequested(run_id=RUN, spec=spec()))
    restarted = Controller(stage.store, stage.blobs)
    restarted.caught_up = False
    consumer = Consumer(stage.bus, REGISTRY, RegistryHandler(stage.store, restarted), "registry")
    for queue in QUEUES:
        await stage.bus.declare(queue)
    await stage.bus.publish(Envelope.of(RunRequested(run_id="other", spec=spec()), source="test"))
    await tick(consumer, restarted, stage.store)
    assert await stage.bus.depth(GENERATOR) == 0
    subscription = await consumer.start()
    while await stage.bus.depth(REGISTRY):
        await asyncio.sleep(0)
    await subscription.drain()
    assert await stage.bus.depth(GENERATOR) == 0
    await tick(consumer, restarted, stage.store)
    assert await stage.bus.depth(GENERATOR) == 6 + 6


class FlakyBus(MemoryBus):
    """Refuses to publish for a while."""

    down = 0

    async def publish(self, envelope: Envelope) -> None:
        if self.down and envelope.type.startswith("archloop.generation"):
            self.down -= 1
            raise BusUnavailable("broker is away")
        await super().publish(envelope)


async def test_a_broker_that_was_away_costs_seconds_and_nothing_else(stage: Stage) -> None:
    stage.bus = bus = FlakyBus()
    bus.down = 3
    await stage.others()
    settings = SETTINGS.model_copy(update={"echo_s": 0.05})
    async with running(settings, bus=bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        await stage.until_finished()
    assert bus.down == 0


class SlowStore(SqliteStore):
    async def record(self, message: Message, at: datetime) -> Recorded:
        await asyncio.sleep(0.02)
        return await super().record(message, at)


async def test_a_registry_that_falls_behind_asks_for_nothing_twice(stage: Stage) -> None:
    asked: list[Message] = []

    class Counting(Generator):
        async def handle(self, message: GenerationRequested) -> Sequence[Message]:
            asked.append(message)
            return await super().handle(message)

    stage.store = SlowStore(stage.folder / "slow.sqlite")
    await stage.others(generator=Counting())
    settings = SETTINGS.model_copy(update={"echo_s": 0.01, "tick_s": 0.01})
    async with running(settings, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        await stage.until_finished()
    assert len(asked) == len({message.id for message in asked})


async def test_a_stream_of_events_is_resumed_where_it_broke_off(stage: Stage) -> None:
    await stage.others()
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store) as app:
        await stage.request()
        await stage.until_finished()
        everything = await stage.store.events(run_id=RUN)
        async with listening(app.api, "127.0.0.1", 0, "PORT") as url:
            first = await streamed(f"{url}/runs/{RUN}/events", 5)
            rest = await streamed(f"{url}/events", len(everything) - 5, last=first[-1]["id"])
    assert [int(e["id"]) for e in first + rest] == [e.seq for e in everything]
    assert [e["event"] for e in first + rest] == [e.type for e in everything]
    assert json.loads(first[0]["data"])["data"]["spec"]["cycles"] == 3


def client_of(app: RegistryApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app.api), base_url="http://registry")


async def streamed(url: str, count: int, last: str = "0") -> list[dict[str, str]]:
    """The first events of a stream."""
    events: list[dict[str, str]] = []
    current: dict[str, str] = {}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("GET", url, headers={"Last-Event-ID": last}) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            elif "data" in current:
                events.append(current)
                current = {}
            if len(events) == count:
                return events
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("header", ["x", "-1", str(2**64), "1.5"])
async def test_a_stream_from_no_possible_place_is_refused(stage: Stage, header: str) -> None:
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store) as app, client_of(app) as c:
        response = await c.get("/events", headers={"Last-Event-ID": header})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "header.Last-Event-ID"


async def test_a_run_can_be_asked_for_over_http(stage: Stage) -> None:
    await stage.others()
    body = {"run_id": RUN, "spec": spec().model_dump(mode="json")}
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store) as app, client_of(app) as c:
        assert (await c.post("/runs", json=body)).status_code == 202
        await stage.until_finished()


async def test_what_waits_and_what_is_parked_is_counted(stage: Stage) -> None:
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store) as app, client_of(app) as c:
        async with asyncio.timeout(10):
            while not (counted := (await c.get("/queues")).json()):
                await asyncio.sleep(0.01)
        assert [each["queue"] for each in counted] == [queue.name for queue in QUEUES]
        await stage.bus.park(Parked(id="x", queue="novelty", reason="no", first_failed=utc_now(), body=b"?"))
        await Counts().take(stage.bus)  # its own next count is seconds away
        assert 'archloop_parked_messages{queue="novelty"} 1.0' in (await c.get("/metrics")).text


async def test_readiness_names_what_does_not_answer(stage: Stage) -> None:
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store) as app, client_of(app) as c:
        assert (await c.get("/readyz")).json()["checks"] == dict.fromkeys(["broker", "object store", "database"], "ok")
        await stage.store.close()
        response = await c.get("/readyz")
    assert response.status_code == 503
    assert "registry database" in response.json()["checks"]["database"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
@pytest.mark.parametrize("port", [80, None])
def test_a_port_that_others_reach_needs_a_token_be_it_the_default_one(host: str, port: int | None) -> None:
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_REGISTRY_TOKEN: .*set a token"):
        RegistrySettings.load(host=host, port=port)
    assert RegistrySettings.load(host=host, port=port, token="secret").host == host


def test_a_token_comes_from_a_file_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hush-hush\n")
    monkeypatch.setenv("ARCHLOOP_REGISTRY_TOKEN_FILE", str(tmp_path / "token"))
    settings = RegistrySettings.load()
    assert settings.token is not None
    assert settings.token.get_secret_value() == "hush-hush"
    assert "hush-hush" not in repr(settings)


async def test_earlier_evaluations_are_found_in_the_store(stage: Stage) -> None:
    await stage.others()
    async with running(SETTINGS, bus=stage.bus, blobs=stage.blobs, store=stage.store):
        await stage.request()
        await stage.until_finished()
    (architecture, *_) = (await stage.store.architectures()).items
    found = await stage.store.evaluation(architecture.code_sha256, "a" * 64)
    source = await stage.store.source(architecture.candidate_id)
    assert source is not None
    assert found == evaluation(source.code.text or "")
    assert await stage.store.evaluation("0" * 64, "a" * 64) is None
