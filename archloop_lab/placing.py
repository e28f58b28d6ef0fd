"""Deciding which device does which work of a run: facts and needs in, a placement or a refusal out."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop.errors import InvalidInput
from archloop.gpus import Gpu
from archloop_lab import estimate
from archloop_lab.needs import Machine, Needs, Software, Wanted
from archloop_lab.placement import Backend, Placement, Role, Seat, Turns
from archloop_lab.rooms import SlotPlan, evaluator_slots, usable_gb

WORTH_SERVING_GB = 0.1  # of weights, from which on a GPU writes faster than a core
SMALL_GB = 2.0  # of weights, up to which a CPU serves too
_HOST = 1.2  # host memory for each byte of the weights in half precision, on the CPU
_ROOMY = 2  # times what serving needs, where that much is free: more requests at once
_INSTEAD = "a smaller --model, other --devices, or --devices cpu"


class _Draft(NamedTuple):
    """Where the language model is served and trained, before the evaluators fill what is left."""

    gpus: tuple[Gpu, ...]
    serve: Gpu | None
    train: Gpu | None


def place(machine: Machine, needs: Needs, software: Software, wanted: Wanted) -> Placement:
    """Lay a run out on a machine. Raises InvalidInput, with numbers and what would fit, for what does not."""
    gpus = chosen(machine.gpus, wanted.devices)
    backend, why = _backend(gpus, needs, software, wanted), list[str]()
    serve = _server(gpus, needs, wanted, why)
    train = _trainer(gpus, needs, wanted, serve, why)
    _check_cpu(machine, needs, serve, train, software)
    draft = _Draft(gpus, serve, train)
    slots, alone = _evaluators(machine, draft, needs, wanted, why)
    turns = _turns(draft, needs, slots, evaluate_alone=alone)
    if backend == "tgi" and any(Role.SERVE in pair for pair in turns):
        raise InvalidInput(
            "--backend", "tgi", "vllm or cpu: the server has to make room for other work, and TGI cannot"
        )
    seats = _seats(machine, draft, needs, slots, turns)
    return Placement(backend if serve else "cpu", seats, slots.fraction, turns, tuple(why))


def chosen(gpus: Sequence[Gpu], devices: str) -> tuple[Gpu, ...]:
    """Return the GPUs that `--devices` names, every slice of them. Raises InvalidInput for one that is not there."""
    if devices == "cpu":
        return ()
    if devices == "auto":
        return tuple(gpus)
    there = {str(gpu.index): [each for each in gpus if each.index == gpu.index] for gpu in gpus}
    for name in devices.split(","):
        if name not in there:
            known = f"one of {', '.join(there)}" if there else "`cpu` or `auto`: this machine has no GPU that answers"
            raise InvalidInput("--devices", name, known)
    return tuple(gpu for name in dict.fromkeys(devices.split(",")) for gpu in there[name])


def _backend(gpus: Sequence[Gpu], needs: Needs, software: Software, wanted: Wanted) -> Backend:
    """Choose the server: vLLM where it is there and the model has turns, which is how it is asked; else our own."""
    missing = {"vllm": not software.vllm, "tgi": not software.tgi}
    installed = {"vllm": "`pip install 'archloop[vllm]'`", "tgi": "text-generation-launcher on the PATH"}
    if wanted.backend in ("vllm", "tgi"):
        if not needs.serves:
            raise InvalidInput("--backend", wanted.backend, f"auto: {needs.base_model} draws, and no model is served")
        if not gpus:
            raise InvalidInput("--backend", wanted.backend, "`cpu`, our own server: there is no GPU to serve on")
        if missing[wanted.backend]:
            raise InvalidInput("--backend", wanted.backend, f"one that is installed; {installed[wanted.backend]}")
        if wanted.backend == "vllm" and not needs.chat:
            raise InvalidInput("--backend", "vllm", f"`cpu`, as {needs.base_model} has no chat template")
        return "vllm" if wanted.backend == "vllm" else "tgi"
    return "vllm" if wanted.backend == "auto" and gpus and software.vllm and needs.chat else "cpu"


def _server(gpus: tuple[Gpu, ...], needs: Needs, wanted: Wanted, why: list[str]) -> Gpu | None:
    """Choose the smallest GPU that can serve the model, None for the CPU. Raises InvalidInput."""
    insisted = wanted.explicit or wanted.backend in ("vllm", "tgi")
    if not gpus or not needs.serves or not (insisted or needs.weights_gb >= WORTH_SERVING_GB):
        if gpus and needs.serves:
            why.append(f"{needs.base_model} is so small that the CPU serves it as fast")
        return None
    fitting = [gpu for gpu in gpus if usable_gb(gpu) >= needs.serving_gb]
    if fitting:
        return min(fitting, key=lambda gpu: (gpu.memory_gb, gpu.index))
    if insisted or needs.weights_gb > SMALL_GB:
        most = estimate.largest(max(map(usable_gb, gpus))) / 1e9
        fits = f"at most {most:.1f} billion parameters: {_takes('serving', needs.serving_gb, gpus)}; {_INSTEAD}"
        raise InvalidInput("base_model", needs.base_model, fits)
    why.append(f"{needs.base_model} is served on the CPU: {_takes('serving', needs.serving_gb, gpus)}")
    return None


def _trainer(gpus: tuple[Gpu, ...], needs: Needs, wanted: Wanted, serve: Gpu | None, why: list[str]) -> Gpu | None:
    """Choose another GPU than the server's, if there is one that is large enough. Raises InvalidInput."""
    if not gpus or not needs.trains:
        return None
    if needs.engine != "trl":
        why.append(f"training.engine {needs.engine} trains on the CPU; trl is the one for GPUs")
        return None
    fitting = [gpu for gpu in gpus if usable_gb(gpu) >= needs.training_gb]
    if fitting:
        return min(fitting, key=lambda gpu: (gpu == serve, -usable_gb(gpu), gpu.index))
    takes = _takes("training", needs.training_gb, gpus)
    if wanted.explicit or needs.quantised or needs.weights_gb > SMALL_GB:
        if needs.quantised or needs.nf4_gb > max(map(usable_gb, gpus)):
            raise InvalidInput("base_model", needs.base_model, f"a smaller one: {takes}; {_INSTEAD}")
        nf4 = f"nf4, with which it takes about {needs.nf4_gb:.1f} GB: {takes}"
        raise InvalidInput("training.quantization", "none", f"{nf4}; or {_INSTEAD}")
    why.append(f"the trainer is on the CPU: {takes}")
    return None


def _check_cpu(machine: Machine, needs: Needs, serve: Gpu | None, train: Gpu | None, software: Software) -> None:
    """Raise InvalidInput for what the CPU, its memory or the installed packages cannot do."""
    if serve is None and needs.weights_gb * _HOST > machine.memory_gb:
        most = machine.memory_gb / _HOST / 2
        size = f"{needs.weights_gb * _HOST:.1f} GB of memory, this machine has {machine.memory_gb:.1f}"
        raise InvalidInput(
            "base_model", needs.base_model, f"at most {most:.1f} billion parameters on the CPU: it takes {size}"
        )
    if needs.trains and needs.quantised and train is None:
        raise InvalidInput("training.quantization", "nf4", "none: nf4 needs a CUDA GPU, and the trainer is on the CPU")
    if needs.trains and needs.quantised and not software.bitsandbytes:
        raise InvalidInput("training.quantization", "nf4", "none, or bitsandbytes: pip install 'archloop[qlora]'")


def _evaluators(machine: Machine, draft: _Draft, needs: Needs, wanted: Wanted, why: list[str]) -> tuple[SlotPlan, bool]:
    """Fill what the server leaves; where that is too little, the server's own room, by turns. Raises InvalidInput."""
    if not draft.gpus or not (wanted.explicit or needs.long_epochs):
        if draft.gpus:
            why.append("an epoch of this protocol is so short that a GPU would hardly have begun: the CPU evaluates")
        return SlotPlan({}, 1.0), False
    left = {gpu: _beside_server(gpu, needs) if gpu == draft.serve else usable_gb(gpu) for gpu in draft.gpus}
    if (plan := evaluator_slots(left, needs.slot_gb, machine)).slots:
        return plan, False
    plan = evaluator_slots({gpu: usable_gb(gpu) for gpu in draft.gpus}, needs.slot_gb, machine)
    if plan.slots:
        return plan, True
    takes = _takes("evaluating one candidate", needs.slot_gb, draft.gpus)
    if wanted.explicit:
        raise InvalidInput("protocol", needs.protocol, f"a smaller batch or images: {takes}; or --devices cpu")
    why.append(f"the evaluators are on the CPU: {takes}")
    return SlotPlan({}, 1.0), False


def _beside_server(gpu: Gpu, needs: Needs) -> float:
    """Return what the server leaves on its GPU: half of what it could use, but one slot rather than none."""
    usable = usable_gb(gpu)
    return max(usable - _ROOMY * needs.serving_gb, min(usable - needs.serving_gb, needs.slot_gb))


def _turns(draft: _Draft, needs: Needs, slots: SlotPlan, *, evaluate_alone: bool) -> Turns:
    """Say which roles exclude each other, as their GPU cannot hold both."""
    pairs = set[frozenset[Role]]()
    if evaluate_alone:
        pairs.add(frozenset({Role.SERVE, Role.EVALUATE}))
    if draft.train is not None:
        room = usable_gb(draft.train) - needs.training_gb
        if draft.train == draft.serve:
            room -= needs.serving_gb
            if room < 0:
                pairs.add(frozenset({Role.SERVE, Role.TRAIN}))
                room += needs.serving_gb
        if slots.gb(draft.train) > room:
            pairs.add(frozenset({Role.EVALUATE, Role.TRAIN}))
    return frozenset(pairs)


def _seats(machine: Machine, draft: _Draft, needs: Needs, slots: SlotPlan, turns: Turns) -> tuple[Seat, ...]:
    evaluators = [Seat(Role.EVALUATE, gpu, slots.gb(gpu), count) for gpu, count in slots.slots.items()]
    served = _served_gb(draft, needs, slots, turns) if draft.serve else 0.0
    seats = [Seat(Role.SERVE, draft.serve, served)] if needs.serves else []
    seats += evaluators or [Seat(Role.EVALUATE, None, slots=machine.slots)]
    if needs.trains:
        seats.append(Seat(Role.TRAIN, draft.train, needs.training_gb if draft.train else 0.0))
    return tuple(seats)


def _served_gb(draft: _Draft, needs: Needs, slots: SlotPlan, turns: Turns) -> float:
    """Give the server what nobody else has on its GPU at the same time: room for more requests at once."""
    assert draft.serve is not None
    room = usable_gb(draft.serve)
    beside = [0.0]
    if frozenset({Role.SERVE, Role.EVALUATE}) not in turns:
        beside.append(slots.gb(draft.serve))
    if draft.train == draft.serve and frozenset({Role.SERVE, Role.TRAIN}) not in turns:
        beside.append(needs.training_gb)
    excluded = frozenset({Role.EVALUATE, Role.TRAIN}) in turns
    return max(needs.serving_gb, room - (max(beside) if excluded else sum(beside)))


def _takes(what: str, gb: float, gpus: Sequence[Gpu]) -> str:
    best = max(gpus, key=usable_gb)
    return (
        f"{what} takes about {gb:.1f} GB, and {best.label}, the freest, has {usable_gb(best):.1f} to give"
        f" ({best.free_gb:.1f} of {best.memory_gb:.1f} are free)"
    )
