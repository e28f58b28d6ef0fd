"""Which device of a machine does which work of a run, as it was decided."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, NamedTuple

from archloop.gpus import Gpu

Backend = Literal["cpu", "vllm", "tgi"]


class Role(StrEnum):
    """Work that a device does: it serves the language model, evaluates candidates, or trains adapters."""

    SERVE = "serve"
    EVALUATE = "evaluate"
    TRAIN = "train"


Turns = frozenset[frozenset[Role]]


class Seat(NamedTuple):
    """Part of a device that a role gets, `gb` in all for its `slots`; the CPU where `gpu` is None."""

    role: Role
    gpu: Gpu | None
    gb: float = 0.0
    slots: int = 1


class Placement(NamedTuple):
    """What does which work.

    `fraction` is the share of a GPU's memory that each evaluator slot may use. `turns` are the pairs of roles that
    never work at the same time. `why` says in a line each what was decided otherwise than one might expect.
    """

    backend: Backend
    seats: tuple[Seat, ...]
    fraction: float = 1.0
    turns: Turns = frozenset()
    why: tuple[str, ...] = ()

    def of(self, role: Role) -> list[Seat]:
        """Return the seats of one role."""
        return [seat for seat in self.seats if seat.role is role]

    def gpu_of(self, role: Role) -> Gpu | None:
        """Return the first GPU of a role, None where it is on the CPU or nowhere."""
        return next((seat.gpu for seat in self.of(role)), None)

    @property
    def on_gpus(self) -> bool:
        """Whether anything is on a GPU."""
        return any(seat.gpu is not None for seat in self.seats)

    @property
    def evaluator_gpus(self) -> str:
        """Value of ARCHLOOP_EVALUATOR_GPUS: each GPU as often as it has slots."""
        seats = [seat for seat in self.of(Role.EVALUATE) if seat.gpu]
        return ",".join(seat.gpu.visible for seat in seats for _ in range(seat.slots) if seat.gpu)


def told(placement: Placement) -> Iterator[tuple[str, str]]:
    """Write a placement in lines of a heading and a text."""
    names = {"cpu": "our own server", "vllm": "vLLM", "tgi": "TGI"}
    for seat in placement.seats:
        where = "the CPU" if seat.gpu is None else f"{seat.gpu.label} ({seat.gpu.name}), {seat.gb:.1f} GB"
        match seat.role:
            case Role.SERVE:
                yield "language model", f"{names[placement.backend]} on {where}"
            case Role.EVALUATE:
                yield "evaluators", f"{seat.slots} at a time on {where}"
            case Role.TRAIN:
                yield "trainer", f"on {where}"
    for one, other in sorted(map(sorted, placement.turns)):
        yield "by turns", _TURN[one, other]
    for line in placement.why:
        yield "because", line


_TURN = {
    ("evaluate", "serve"): "candidates are evaluated while the model server is stopped: there is no room for both",
    ("serve", "train"): "the model server is stopped while an adapter is trained: there is no room for both",
    ("evaluate", "train"): "an adapter is trained while no candidate is evaluated",
}
