import asyncio

from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import AdapterTrained
from archloop.contracts.topology import Queue
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
    endless = await request_for(training=spec.model_copy(update={"epochs": 100_000}))
    settings = TrainerSettings(base_model=base_model, threads=1, grace_s=0.1)
    async with running(settings, bus=bus, blobs=blobs) as app:
        await bus.publish(Envelope.of(endless, source="registry"))
    assert not app.subscription.alive
    assert await bus.parked() == []
    assert await blobs.list("adapters/") == []
    await bus.close()
