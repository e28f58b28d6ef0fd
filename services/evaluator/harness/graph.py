"""The graph of a network as a hash: equal for the same network, however its program is written.

It is made after the score is settled, from a new network in float32 on the CPU, and so can change no score. One pass in
evaluation mode and one in training mode are followed. A program whose computation they do not show completely (numbers
that torch does not draw, branches that depend on the images, a backward pass of its own) gets no hash rather than one
of a part.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from services.evaluator.harness.dataflow import Edge
from services.evaluator.harness.memory import Untraceable
from services.evaluator.harness.recorder import Recorder, reason

FORM = 2  # of the hash: graphs of different forms are never equal
_REASON_LIMIT = 200
_IMAGES = 2
_WAYS_OUT = {name: getattr(Tensor, name) for name in ("numpy", "tolist", "__array__")}


class Graph(NamedTuple):
    """Hash of the graph, or in `untraced` the reason why there is none."""

    graph_sha256: str | None = None
    untraced: str = ""

    @classmethod
    def missing(cls, error: BaseException) -> "Graph":
        """Return a graph without hash, with the error as its reason."""
        try:
            told = reason(error)
        except BaseException:  # noqa: BLE001 - an exception of the candidate's may raise another where it is told
            told = "a pass failed"
        return cls(untraced=told[:_REASON_LIMIT].encode("ascii", "replace").decode())


def of(net: nn.Module, shape: tuple[int, ...]) -> Graph:
    """Return the graph for images of this shape (C, H, W). Raises nothing, whatever the network raises."""
    try:
        return Graph(_hash(net, _images(shape)))
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything, and is scored already
        return Graph.missing(error)


def _hash(net: nn.Module, images: Tensor) -> str:
    if any(map(is_lazy, net.parameters())):
        net.eval()(images.clone())
    recorder, outputs = Recorder(net), list[Edge]()
    before = _drawn()
    for training in (False, True):
        outputs += _passed(recorder, net.train(training), images.clone())
    if _drawn() != before:
        raise Untraceable("it draws random numbers otherwise than by torch")
    return recorder.graph.digest(outputs, (FORM, torch.__version__, tuple(images.shape)))


def _passed(recorder: Recorder, net: nn.Module, images: Tensor) -> list[Edge]:
    recorder.show(images)
    with torch.enable_grad(), _watched(recorder), recorder:
        output = net(images)
    if recorder.why:
        raise Untraceable(recorder.why)
    return recorder.outputs(output)


@contextmanager
def _watched(recorder: Recorder) -> Iterator[None]:
    """Notice when numbers leave torch, where programs compute or branch without any operator that shows it."""

    def watching(leave: Callable[..., Any]) -> Callable[..., Any]:
        def left(*args: Any, **kwargs: Any) -> Any:
            recorder.lose()
            return leave(*args, **kwargs)

        return left

    for name in _WAYS_OUT:
        setattr(Tensor, name, watching(getattr(Tensor, name)))
    try:
        yield
    finally:
        for name, leave in _WAYS_OUT.items():
            setattr(Tensor, name, leave)


def _images(shape: tuple[int, ...]) -> Tensor:
    """Return images of which no two numbers are alike, so that different programs compute different numbers of them."""
    return torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))


def _drawn() -> tuple[Any, ...]:
    """Return the state of the random generators that torch does not know of."""
    state: Any = np.random.get_state(legacy=False)["state"]
    return random.getstate(), state["pos"], state["key"].tobytes()
