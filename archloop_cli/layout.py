"""A placement put into effect: the settings of each embedded service, its model server, and its turns."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from archloop import models, protocols
from archloop.contracts.spec import SEED_PROGRAM, RunSpec
from archloop_cli import terminal
from archloop_cli.turns import Turns
from archloop_lab import estimate
from archloop_lab.needs import Machine, Needs, Software, Wanted
from archloop_lab.placement import Placement, Role, told
from archloop_lab.placing import place
from services.evaluator.settings import EvaluatorSettings
from services.generator.app import backend_of
from services.generator.backends.cpu import CpuBackend
from services.generator.backends.on_demand import OnDemand
from services.generator.backends.port import Backend, ServedModel
from services.generator.backends.seed_program import SeedProgram
from services.generator.backends.vllm import VllmBackend
from services.generator.backends.vllm_process import VllmProcess
from services.generator.modelserver.process import spawned
from services.generator.settings import GeneratorSettings
from services.trainer.settings import TrainerSettings

FIELD = "placement"  # of the manifest
_SLOTS = 16
_START_S = 900.0  # of a model that is read onto a GPU
_PROMPT_TOKENS = 2048
_OURS_TOKENS = 2048  # prompt and answer together, of our own server unless told otherwise
_TGI = "text-generation-launcher --model-id {model} --hostname 127.0.0.1 --port {{port}} --cuda-graphs 0"


def laid_out(spec: RunSpec, wanted: Wanted) -> Placement:
    """Place a run on this machine. Raises InvalidInput for what does not fit, Unavailable where GPUs do not answer."""
    return place(Machine.here(), Needs.of(spec, protocols.load(spec.protocol)), Software.here(), wanted)


def say(placement: Placement) -> None:
    """Say what does which work where there is a choice: on a machine with GPUs."""
    if placement.on_gpus or placement.why:
        for title, line in told(placement):
            terminal.say(line, mark=title)


def recorded(placement: Placement, wanted: Wanted) -> dict[str, Any]:
    """Return what a manifest keeps: what was asked for, and what came of it."""
    return {FIELD: {**wanted._asdict(), "plan": [list(line) for line in told(placement)]}}


def asked_for(manifest: dict[str, Any]) -> Wanted:
    """Return what the run of a manifest was begun with; runs of before were on the CPU, and let the machine choose."""
    kept = manifest.get(FIELD, {})
    return Wanted.of(kept.get("devices", "auto"), kept.get("backend", "auto"))


@dataclass(frozen=True)
class Layout:
    """Settings, model server and turns of the run of `spec` in `directory`."""

    placement: Placement
    spec: RunSpec
    directory: Path

    @cached_property
    def generator(self) -> GeneratorSettings:
        """Settings of the generator; TGI is started by the generator itself."""
        own: dict[str, Any] = {"cache_dir": self.directory / "adapters"}
        if self.placement.backend == "tgi":
            own |= {
                "backend": "tgi",
                "base_model": self.spec.base_model,
                "tgi_launcher": "process",
                "tgi_command": _TGI.format(model=models.locate(self.spec.base_model)),
                "tgi_log": self.directory / "modelserver.log",
                "tgi_overlap": False,
            }
        return GeneratorSettings(**own)

    @property
    def evaluator(self) -> EvaluatorSettings:
        """Settings of the evaluator; GPUs that the environment names come first."""
        own = EvaluatorSettings()
        if own.gpus or not self.placement.evaluator_gpus:
            return own
        return EvaluatorSettings(
            gpus=self.placement.evaluator_gpus, gpu_memory_fraction=min(1.0, max(0.001, self.placement.fraction))
        )

    @property
    def trainer(self) -> TrainerSettings:
        """Settings of the trainer."""
        own: dict[str, Any] = {"base_model": self.spec.base_model, "work_dir": self.directory / "training"}
        seat = next(iter(self.placement.of(Role.TRAIN)), None)
        if seat is not None and seat.gpu is not None:
            own |= {"gpus": 1, "visible": seat.gpu.visible, "gpu_memory_gb": seat.gb}
        return TrainerSettings(**own)

    @property
    def trains(self) -> bool:
        """Whether the run tunes its LLM at all, as far as the spec says: before its first cycle or between two."""
        return self.spec.bootstrap is not None or (self.spec.cycles > 1 and not self.spec.frozen)

    @cached_property
    def backend(self) -> Backend:
        """Model server's client; the server itself runs once it is asked, or is started."""
        if self.spec.base_model == SEED_PROGRAM:
            return SeedProgram()
        return backend_of(self.generator) if self.placement.backend == "tgi" else OnDemand(self._server)

    def turns(self) -> Turns:
        """Return the turns of the roles that exclude each other; the model server makes room for others."""
        backend = self.backend
        return Turns(self.placement.turns, {Role.SERVE: backend.stop} if isinstance(backend, OnDemand) else {})

    @property
    def _server(self) -> Callable[[], AbstractAsyncContextManager[Backend]]:
        return self._vllm if self.placement.backend == "vllm" else self._ours

    @asynccontextmanager
    async def _ours(self) -> AsyncIterator[Backend]:
        gpu = self.placement.gpu_of(Role.SERVE)
        where: dict[str, Any] = {}
        if gpu is not None:
            where = {"device": "cuda:0", "gpu": gpu.visible, "max_total_tokens": self._tokens, "start_s": _START_S}
        log = self.directory / "modelserver.log"
        async with spawned(self.spec.base_model, slots=_SLOTS, threads=1, log=log, **where) as url:
            backend = CpuBackend(url, timeout_s=self.generator.request_timeout_s)
            try:
                yield backend
            finally:
                await backend.close()

    @asynccontextmanager
    async def _vllm(self) -> AsyncIterator[Backend]:
        name, key = self.spec.base_model, secrets.token_urlsafe(32)
        async with self._vllm_process().running(key) as url:
            served = ServedModel(name, models.fingerprint(name))
            backend = VllmBackend(url, served, name, timeout_s=self.generator.request_timeout_s, token=key)
            try:
                yield backend
            finally:
                await backend.close()

    def _vllm_process(self) -> VllmProcess:
        seat = self.placement.of(Role.SERVE)[0]
        assert seat.gpu is not None
        return VllmProcess(
            model=models.locate(self.spec.base_model),
            served_as=self.spec.base_model,
            gpu=seat.gpu.visible,
            fraction=min(1.0, seat.gb / seat.gpu.memory_gb),
            rank=self.spec.training.r,
            max_tokens=self._tokens,
            log=self.directory / "modelserver.log",
        )

    @property
    def _tokens(self) -> int:
        """Prompt and answer together, as far as the model goes."""
        asked = self.spec.generation
        shown = self.spec.training.max_length if asked.edited else 0
        wished = max(_OURS_TOKENS, _PROMPT_TOKENS + asked.remembered_tokens + shown + asked.max_new_tokens)
        return min(wished, estimate.positions(self.spec.base_model) or wished)
