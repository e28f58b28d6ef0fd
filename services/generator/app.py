"""Composes the generator service."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.ended_runs import EndedRuns
from archloop.bus.port import Bus, Subscription
from archloop.bus.rejections import RejectingHandler
from archloop.contracts.topology import GENERATOR, adapter_queue
from archloop.models import fingerprint
from archloop.ops.connecting import broker, bucket, made
from archloop.ops.serve import Served
from services.generator.adapter_files import AdapterFiles
from services.generator.adapters import AdapterManager
from services.generator.backends.cpu import CpuBackend
from services.generator.backends.kubernetes_launcher import KubernetesLauncher
from services.generator.backends.pace import Pace, Paced
from services.generator.backends.port import Backend, ServedModel
from services.generator.backends.replicated import Replicated, resolved
from services.generator.backends.rolling import Rolling, Times
from services.generator.backends.tgi import TgiBackend
from services.generator.backends.tgi_launcher import Launcher, ProcessLauncher
from services.generator.backends.vllm import VllmBackend
from services.generator.handlers import AdapterHandler, GenerateHandler, Prices, rejected
from services.generator.settings import GeneratorSettings


@dataclass(frozen=True)
class GeneratorApp:
    """Running generator service."""

    adapters: AdapterManager
    requests: Subscription
    announcements: Subscription


@asynccontextmanager
async def running(
    settings: GeneratorSettings, *, bus: Bus, blobs: Blobs, backend: Backend
) -> AsyncIterator[GeneratorApp]:
    """Generate what is asked for, until the context is left; the backend is closed with it."""
    adapters = AdapterManager(backend, AdapterFiles(blobs, settings.cache_dir), settings.max_adapter_bytes)
    generate = GenerateHandler(
        backend, adapters, blobs, Prices(settings.prompt_token_price, settings.completion_token_price)
    )
    announced = AdapterHandler(adapters, settings.replica)
    requests = replace(GENERATOR, prefetch=settings.concurrency)
    try:
        over = (await EndedRuns.followed(bus)).over
        app = GeneratorApp(
            adapters,
            await Consumer(bus, requests, RejectingHandler(generate, rejected), settings.service, over=over).start(),
            await Consumer(bus, adapter_queue(settings.replica), announced, settings.service, over=over).start(),
        )
        try:
            yield app
        finally:
            await app.announcements.drain()
            await app.requests.drain()
    finally:
        adapters.close()
        await backend.close()


@asynccontextmanager
async def served(settings: GeneratorSettings) -> AsyncIterator[Served]:
    """Run the service on the servers that its settings name.

    It is ready once the model server is, with its adapters.
    """
    made(settings.cache_dir, settings.variable("cache_dir"))
    async with broker(settings) as bus:
        blobs = await bucket(settings)
        async with running(settings, bus=bus, blobs=blobs, backend=backend_of(settings)) as app:
            needs = {"broker": bus.ping, "object store": blobs.ping, "model server": app.adapters.ping}
            yield Served((app.requests, app.announcements), needs)


def backend_of(settings: GeneratorSettings) -> Backend:
    """Return the client of the model server that the settings name, or of those that they have started."""
    connect = partial(_connected, settings)
    backend: Backend
    if launcher := _launcher(settings):
        times = Times(settings.tgi_start_s, settings.tgi_drain_s)
        backend = Rolling(launcher, connect, times, overlap=settings.tgi_overlap)
    elif settings.every_address:
        backend = Replicated(partial(resolved, settings.server_url), connect)
    else:
        backend = connect(settings.server_url)
    return Paced(backend, Pace(settings.concurrency, settings.request_timeout_s / 2))


def _launcher(settings: GeneratorSettings) -> Launcher | None:
    if settings.tgi_launcher == "process":
        return ProcessLauncher(settings.tgi_command, settings.tgi_stop_s, settings.tgi_log)
    if settings.tgi_template is not None and settings.tgi_launcher == "kubernetes":
        return KubernetesLauncher(settings.tgi_template, settings.replica)
    return None


@cache
def _served(base_model: str) -> ServedModel:
    """Return the base model that is served; its weights are read once, rather than at every connection."""
    return ServedModel(base_model, fingerprint(base_model))


def _connected(settings: GeneratorSettings, url: str, adapters: Collection[str] = ()) -> Backend:
    """Return the client of one server; `adapters` are those that a TGI was started with."""
    token, timeout_s = settings.api_token.get_secret_value(), settings.request_timeout_s
    if settings.backend == "cpu":
        return CpuBackend(url, timeout_s=timeout_s, token=token)
    served = _served(settings.base_model)
    name = settings.served_as or settings.base_model
    if settings.backend == "vllm":
        return VllmBackend(url, served, name, timeout_s=timeout_s, token=token)
    return TgiBackend(url, served, name, loaded=adapters, chat=settings.chat, timeout_s=timeout_s, token=token)
