"""The stages, cheapest first, each announced as it begins: parse, contract, build, shape, train, predict."""

import json
import os
from types import CodeType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from services.evaluator.harness import contract, frames, graph, module
from services.evaluator.harness.conditions import PLAIN, Conditions, same_output
from services.evaluator.harness.flaw import Flaw, flaw_of
from services.evaluator.harness.loader import Epoch, Normalise
from services.evaluator.harness.losses import LossTap
from services.evaluator.harness.measures import Cost
from services.evaluator.harness.network import CPU, META, Candidate, parameters
from services.evaluator.harness.task import Task

Array = NDArray[Any]
_OTHERWISE = {
    "parse": "syntax_error",
    "contract": "contract_error",
    "build": "build_error",
    "shape": "shape_error",
    "train": "train_error",
    "predict": "train_error",
}
_PERHAPS_OF_CONDITIONS = ("train_error", "diverged")
_PREDICT_BATCH, _PREDICT_PIXELS = 128, 128 * 64 * 64
_DETAIL_LIMIT = 500


class Stages:
    """Runs one candidate through the stages."""

    def __init__(self, task: Task, source: bytes, arrays: list[Array], result: int) -> None:
        self._task, self._result = task, result
        self._source = source.decode("utf-8-sig")
        images, labels, self._heldout = (torch.from_numpy(array) for array in arrays)
        self._images, self._labels = images[: task.first], labels[: task.first]
        self._stage = "parse"
        self._parameters: int | None = None
        self._cost = Cost()
        self._conditions: Conditions | None = None
        self._device = CPU
        self._losses = LossTap()

    def run(self) -> None:
        """Run up to the outcome, whatever happens on the way.

        The network's graph follows the outcome, and cannot change it any more.
        """
        flaw: Flaw | None = None
        code: CodeType | None = None
        try:
            code = self._all()
        except BaseException as error:  # noqa: BLE001 - a candidate may raise anything, SystemExit too
            flaw = flaw_of(error, _OTHERWISE[self._stage] if isinstance(error, Exception) else "crashed")
        outcome = {
            "outcome": flaw.outcome if flaw else "ok",
            "detail": flaw.detail[:_DETAIL_LIMIT] if flaw else "",
            "parameters": self._parameters,
            "losses": self._losses.curve(),
            "precision": self._conditions.precision if self._conditions else None,
            "memory_format": self._conditions.layout if self._conditions else None,
            **self._cost._asdict(),
        }
        self._tell(frames.OUTCOME, outcome)
        if code is not None:
            self._tell(frames.GRAPH, self._traced(code)._asdict())

    def _all(self) -> CodeType:
        self._begin("parse")
        tree, code = module.parsed(self._source)
        self._begin("contract")
        contract.check(self._source, tree)
        self._begin("build")
        module.prepare(self._source, self._task.seed)
        self._losses.install()
        candidate = self._candidate(code)
        self._check_shapes(candidate, code)
        if not self._task.graph_only:
            self._score(candidate, code)
        return code

    def _score(self, candidate: Candidate, code: CodeType) -> None:
        self._begin("train")
        self._device = _device(self._task)
        predictions = self._scored(candidate, code)
        self._emit(frames.PREDICTIONS, predictions.numpy().astype("<i4").tobytes())

    def _traced(self, code: CodeType) -> graph.Graph:
        """Return the graph of a network from a newly executed module."""
        try:
            with module.aside():
                return graph.of(self._candidate(code).build(), self._task.shape)
        except BaseException as error:  # noqa: BLE001 - the score is settled; that there is no graph is no flaw
            return graph.Graph.missing(error)

    def _candidate(self, code: CodeType) -> Candidate:
        return Candidate(module.executed(code, self._task.seed), self._task)

    def _check_shapes(self, candidate: Candidate, code: CodeType) -> None:
        """Check the shapes of a small network for real, of a large one on the meta device.

        Each is the quicker way. What fails on the meta device is tried for real before it counts against the candidate.
        """
        net, device = candidate.build_small(), CPU
        if net is None:
            net, device = self._abstract(code), META
        if net is None:
            net, device = candidate.build(), CPU
        self._begin("shape")
        if device is META and not candidate.fits_abstractly(net):
            net, device = candidate.build(), CPU
        if device is CPU:
            candidate.output_shape(net, CPU)
        self._parameters, self._cost = parameters(net), candidate.cost(net, device)

    def _abstract(self, code: CodeType) -> Any | None:
        """Build a network on the meta device from a separate module, whose tables and caches go with it."""
        try:
            with module.aside():
                return self._candidate(code).build_abstractly()
        except Exception:  # noqa: BLE001 - what can be executed only once is built for real
            return None

    def _scored(self, candidate: Candidate, code: CodeType) -> Tensor:
        """Train and predict under the protocol's conditions, or plainly where only the conditions were in the way."""
        self._conditions = self._bearable(code)
        try:
            return self._answers(candidate, self._conditions)
        except Exception as error:
            if self._conditions.plain or flaw_of(error, "train_error").outcome not in _PERHAPS_OF_CONDITIONS:
                raise
        self._conditions = PLAIN
        return self._answers(self._candidate(code), PLAIN)

    def _bearable(self, code: CodeType) -> Conditions:
        """Return the most of the protocol's conditions under which the network runs.

        Conditions are left as they are where it fails without them, too.
        """
        wished = Conditions(self._task.bfloat16, self._task.channels_last)
        if wished.plain:
            return wished
        with module.aside():
            try:
                tried = self._candidate(code)
            except Exception:  # noqa: BLE001 - what can be executed only once is trained plainly
                return PLAIN
            return next(some for some in wished.weaker() if some.plain or self._bears(tried, some))

    def _bears(self, candidate: Candidate, conditions: Conditions) -> bool:
        """Return whether the network computes the same in that layout, and can do a training step."""
        try:
            net = candidate.build(self._device)
            images = candidate.probe(self._device).uniform_(-1, 1)
            laid_out = images.contiguous(memory_format=conditions.memory_format)
            plain = candidate.output(net, images)
            with Conditions(channels_last=conditions.channels_last).imposed(net):
                same = same_output(plain, candidate.output(net, laid_out))
            with conditions.imposed(net):
                _step(net.train(), laid_out)
        except Exception:  # noqa: BLE001 - the protocol's wish is given up
            return False
        return same

    def _answers(self, candidate: Candidate, conditions: Conditions) -> Tensor:
        net = candidate.build(self._device)
        self._losses.reset()
        with conditions.imposed(net):
            self._train(candidate, net, conditions)
            if self._stage == "train":
                self._begin("predict")
            return self._predict(candidate, net, conditions)

    def _train(self, candidate: Candidate, net: Any, conditions: Conditions) -> None:
        images, labels = self._images.to(self._device), self._labels.to(self._device)
        net.train_setup(candidate.prm)
        for epoch in range(self._task.epochs):
            net.train()
            net.learn(Epoch(images, labels, self._task, epoch, conditions.memory_format))
        self._parameters = parameters(net)

    def _predict(self, candidate: Candidate, net: Any, conditions: Conditions) -> Tensor:
        net.eval()
        normalise, answers = Normalise(self._task, self._device, conditions.memory_format), []
        with torch.no_grad():
            for images in torch.split(self._heldout.to(self._device), self._at_once()):
                output = net(normalise(images))
                candidate.check_output(output, len(images))
                answers.append(_classes(output))
        return torch.cat(answers).cpu()

    def _at_once(self) -> int:
        """Return how many images to predict at a time: of large ones no more than in a training batch."""
        _, height, width = self._task.shape
        return max(self._task.batch, min(_PREDICT_BATCH, _PREDICT_PIXELS // (height * width)))

    def _begin(self, stage: str) -> None:
        self._stage = stage
        self._emit(frames.STAGE, stage.encode())

    def _tell(self, kind: bytes, content: dict[str, Any]) -> None:
        self._emit(kind, json.dumps(content, ensure_ascii=True).encode())

    def _emit(self, kind: bytes, payload: bytes) -> None:
        view = memoryview(frames.pack(kind, payload))
        while view:
            view = view[os.write(self._result, view) :]


def perform(task: Task, source: bytes, arrays: list[Array], result: int) -> None:
    """Run all stages, and report to the descriptor `result`."""
    Stages(task, source, arrays, result).run()


def _step(net: Any, images: Tensor) -> None:
    """Do a forward and a backward pass, in training mode."""
    output = net(images)
    first = output[0] if isinstance(output, tuple | list) and output else output
    if isinstance(first, Tensor) and first.requires_grad:
        first.float().square().mean().backward()  # type: ignore[no-untyped-call]


def _classes(output: Tensor) -> Tensor:
    """Return the class with the largest output for each row; a masked class (-inf) is none.

    Raises Flaw `diverged` where a row has no finite maximum.
    """
    best = output.amax(1)
    if not bool(best.isfinite().all()):
        raise Flaw("diverged", "a prediction is not finite")
    return output.argmax(1)


def _device(task: Task) -> torch.device:
    """Return the task's device, after bounding this process to its share of a GPU's memory.

    The fork server never touches CUDA, because a context does not survive a fork; each child makes its own.
    """
    torch.set_num_threads(task.threads)
    device = torch.device(task.device)
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(task.memory_fraction)
    return device
