"""HTTP application over a fleet: TGI's routes, and vLLM's for adapters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from archloop import __version__
from services.generator.modelserver import chat, errors, native
from services.generator.modelserver.fleet import Fleet
from services.generator.modelserver.generation import Generations
from services.generator.modelserver.wire import MAX_STOP_SEQUENCES, LoadRequest, UnloadRequest


def application(fleet: Fleet, max_concurrent_requests: int) -> FastAPI:
    """Return the application; the fleet is stepped while it runs."""

    @asynccontextmanager
    async def stepping(_: FastAPI) -> AsyncIterator[None]:
        fleet.start()
        yield
        fleet.close()

    app = FastAPI(title="Archloop model server", version=__version__, lifespan=stepping)
    generations = Generations(fleet, max_concurrent_requests)
    for router in (native.routes(generations), chat.routes(generations), _status(generations), _adapters(fleet)):
        app.include_router(router)
    errors.install(app)
    return app


def _status(generations: Generations) -> APIRouter:
    router, fleet = APIRouter(), generations.fleet

    @router.api_route("/health", methods=["GET", "HEAD"])
    @router.api_route("/ping", methods=["GET", "HEAD"])
    @router.api_route("/", methods=["GET", "HEAD"])
    async def health() -> Response:
        if fleet.alive:
            return Response()
        return JSONResponse({"error": "unhealthy", "error_type": "healthcheck"}, 503)

    @router.api_route("/info", methods=["GET", "HEAD"])
    async def info() -> dict[str, Any]:
        return {
            "model_id": fleet.base.name,
            "model_sha": fleet.base.sha256,
            "chat_template": fleet.base.texts.has_chat_template,
            "model_device_type": fleet.base.device,
            "model_dtype": fleet.base.weights,
            "max_concurrent_requests": generations.limit,
            "running_requests": generations.running,
            "max_best_of": 1,
            "max_stop_sequences": MAX_STOP_SEQUENCES,
            "max_input_tokens": fleet.base.max_length - 1,
            "max_total_tokens": fleet.base.max_length,
            "router": "archloop",
            "version": __version__,
        }

    return router


def _adapters(fleet: Fleet) -> APIRouter:
    router = APIRouter()

    @router.api_route("/v1/models", methods=["GET", "HEAD"])
    async def models() -> dict[str, Any]:
        base = {"id": fleet.base.name, "object": "model", "owned_by": "archloop", "parent": None}
        loaded = [base | {"id": name, "parent": fleet.base.name} for name in fleet.adapters]
        return {"object": "list", "data": [base, *loaded]}

    @router.post("/v1/load_lora_adapter")
    async def load(body: LoadRequest) -> PlainTextResponse:
        await fleet.load(body.lora_name, Path(body.lora_path))
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    @router.post("/v1/unload_lora_adapter")
    async def unload(body: UnloadRequest) -> PlainTextResponse:
        fleet.unload(body.lora_name)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    return router
