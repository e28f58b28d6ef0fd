"""What a run needs of a machine, what the machine has, and what the user asks for."""

import importlib.util
import os
import re
from typing import Literal, NamedTuple, Self, get_args

from archloop import gpus
from archloop.contracts.spec import SEED_PROGRAM, RunSpec
from archloop.errors import InvalidInput
from archloop.gpus import Gpu
from archloop.protocols.model import Protocol
from archloop_lab import estimate, estimate_cpu
from services.evaluator.settings import EvaluatorSettings
from services.generator.backends.child_process import installed

BackendChoice = Literal["auto", "vllm", "cpu", "tgi"]
_DEVICES = re.compile(r"auto|cpu|\d{1,4}(,\d{1,4})*", re.ASCII)
_LONG_S = 10.0  # of a core for one epoch, from which on a GPU is worth its start
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


class Machine(NamedTuple):
    """What a machine has; `slots` is how many candidates it evaluates at a time without a GPU."""

    cores: int
    memory_gb: float
    gpus: tuple[Gpu, ...] = ()
    slots: int = 1

    @classmethod
    def here(cls) -> Self:
        """Look at this machine. Raises Unavailable for GPUs that do not answer."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        return cls(len(os.sched_getaffinity(0)), memory, gpus.found(), EvaluatorSettings.load().slots)


class Software(NamedTuple):
    """Which optional programs are installed."""

    vllm: bool = False
    tgi: bool = False
    bitsandbytes: bool = False

    @classmethod
    def here(cls) -> Self:
        """Look at this machine."""
        return cls(
            vllm=installed("vllm") is not None,
            tgi=installed("text-generation-launcher") is not None,
            bitsandbytes=importlib.util.find_spec("bitsandbytes") is not None,
        )


class Wanted(NamedTuple):
    """What the user asks for by `--devices` and `--backend`."""

    devices: str = "auto"
    backend: BackendChoice = "auto"

    @classmethod
    def of(cls, devices: str, backend: str) -> Self:
        """Check both options. Raises InvalidInput."""
        if not _DEVICES.fullmatch(devices):
            raise InvalidInput("--devices", devices, "auto, cpu, or numbers of GPUs with commas between: 0,1")
        known: dict[str, BackendChoice] = {name: name for name in get_args(BackendChoice)}
        if backend not in known:
            raise InvalidInput("--backend", backend, "auto, vllm, cpu (our own server) or tgi")
        return cls(devices, known[backend])

    @property
    def explicit(self) -> bool:
        """Whether GPUs are named, so that what can be on them is to be there."""
        return self.devices not in ("auto", "cpu")


ANY = Wanted()


class Needs(NamedTuple):
    """What a run needs, in 10^9 bytes of a GPU's memory for each kind of work; `nf4_gb` trains it quantised.

    The seed program `serves` no language model.
    """

    base_model: str
    protocol: str
    weights_gb: float
    serving_gb: float
    training_gb: float
    nf4_gb: float
    slot_gb: float
    trains: bool = True
    engine: str = "trl"
    quantised: bool = False
    long_epochs: bool = True
    chat: bool = True
    serves: bool = True

    @classmethod
    def of(cls, spec: RunSpec, protocol: Protocol) -> Self:
        """Work out what a run needs, from the files of its model where they are here."""
        weights = estimate.weights_gb(estimate.parameters_of(spec.base_model))
        quantised = spec.training.quantization == "nf4"
        return cls(
            base_model=spec.base_model,
            protocol=protocol.name,
            weights_gb=weights,
            serving_gb=estimate.serving_gb(weights),
            training_gb=estimate.training_gb(weights, quantised=quantised),
            nf4_gb=estimate.training_gb(weights, quantised=True),
            slot_gb=estimate.slot_gb(protocol),
            trains=not spec.frozen or spec.bootstrap is not None,
            engine=spec.training.engine,
            quantised=quantised,
            long_epochs=estimate_cpu.core_seconds(protocol) >= _LONG_S,
            chat=has_chat_template(spec.base_model),
            serves=spec.base_model != SEED_PROGRAM,
        )


def has_chat_template(base_model: str) -> bool:
    """Tell whether a model on this machine is asked by turns; one that is not here is taken to be."""
    folder = estimate.folder_of(base_model)
    if folder is None:
        return True
    if any((folder / name).is_file() for name in _TEMPLATES):
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and '"chat_template"' in config.read_text(errors="replace")
