import asyncio

from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import AdapterTrained
from archloop.contracts.topology import TRAINER, Queue
from services.trainer.app import running
from services.trainer.settings import TrainerSettings

LISTENER = Queue("listener", ("adapter.trained",), prefetch=1)


async def test_a_request_on_the_bus_is_answered_with_the_trained_adapter(base_model, blobs, request_for):
    bus = MemoryBus()
    heard: asyncio.Queue[Envelope] = asyncio.Queue()

    async def listen(delivery):
        await heard.put(Envelope.parse(delivery.body))
        await delivery.ack()

    await bus.declare(LISTENER)
    await bus.subscribe(LISTENER, listen)
    async with running(TrainerSettings(base_model=base_model, threads=1), bus=bus, blobs=blobs):
        await bus.publish(Envelope.of(await request_for(), source="registry"))
        trained = (await heard.get()).message()
    assert isinstance(trained, AdapterTrained)
    assert await blobs.get(trained.adapter.manifest)


async def test_shutting_down_stops_the_job_in_hand_and_leaves_it_to_be_retried(base_model, blobs, request_for, spec):
    bus = MemoryBus()
    endless = await request_for(training=spec.model_copy(update={"epochs": 10_000}))
    settings = TrainerSettings(base_model=base_model, threads=1, grace_s=0.1)
    async with running(settings, bus=bus, blobs=blobs) as app:
        await bus.publish(Envelope.of(endless, source="registry"))
    assert not app.subscription.alive
    assert await bus.parked() == []
    assert await blobs.list("adapters/") == []
    await bus.close()


async def test_one_started_for_one_message_ends_after_it_and_leaves_the_next(base_model, blobs, request_for, spec):
    bus = MemoryBus()
    await bus.declare(TRAINER)
    short = spec.model_copy(update={"epochs": 1})
    for adapter in ("r1-c0", "r1-c1"):
        request = await request_for(adapter=adapter, cycle=int(adapter[-1]), training=short)
        await bus.publish(Envelope.of(request, source="registry"))
    settings = TrainerSettings(base_model=base_model, threads=1, once_within_s=30)
    async with running(settings, bus=bus, blobs=blobs) as app:
        await app.over()
    assert [key for key in await blobs.list("adapters/") if "r1-c0" in key]
    assert not [key for key in await blobs.list("adapters/") if "r1-c1" in key]
    assert await bus.depth(TRAINER) == 1


async def test_one_started_for_one_message_ends_where_there_is_none(base_model, blobs):
    bus = MemoryBus()
    settings = TrainerSettings(base_model=base_model, threads=1, once_within_s=0.2)
    async with running(settings, bus=bus, blobs=blobs) as app, asyncio.timeout(10):
        await app.over()
    assert not app.subscription.alive
