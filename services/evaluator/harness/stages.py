"""The stages, cheapest first, each announced as it begins: parse, contract, build, shape, train, predict."""

import ast
import json
import os
import sys
from types import CodeType, ModuleType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from services.evaluator.harness import contract, frames
from services.evaluator.harness.accelerator import Accelerator
from services.evaluator.harness.flaw import FILENAME, Flaw, judged
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
_PREDICT_BATCH, _PREDICT_PIXELS = 128, 128 * 64 * 64
_DETAIL_LIMIT = 500


class Stages:
    """One candidate's way through the stages."""

    def __init__(self, task: Task, source: bytes, arrays: list[Array], result: int) -> None:
        self._task, self._source, self._result = task, source, result
        self._images, self._labels, self._heldout = (torch.from_numpy(array) for array in arrays)
        self._stage = "parse"
        self._parameters: int | None = None
        self._cost: Cost | None = None
        self._losses = LossTap()

    def run(self) -> None:
        """To the verdict, whatever happens on the way."""
        flaw: Flaw | None = None
        try:
            self._all()
        except BaseException as error:  # noqa: BLE001 - a candidate may raise anything, SystemExit too
            flaw = judged(error, _OTHERWISE[self._stage] if isinstance(error, Exception) else "crashed")
        verdict = {
            "outcome": flaw.outcome if flaw else "ok",
            "detail": flaw.detail[:_DETAIL_LIMIT] if flaw else "",
            "parameters": self._parameters,
            "losses": self._losses.curve(),
            **(self._cost._asdict() if self._cost else {}),
        }
        self._emit(frames.VERDICT, json.dumps(verdict, ensure_ascii=True).encode())

    def _all(self) -> None:
        self._begin("parse")
        tree, code = _parsed(self._source)
        self._begin("contract")
        contract.check(tree)
        self._begin("build")
        candidate = Candidate(_executed(code), self._task)
        self._check_shapes(candidate)
        self._begin("train")
        self._accelerator = Accelerator(self._task)
        net = self._train(candidate)
        self._begin("predict")
        predictions = self._predict(candidate, net)
        self._emit(frames.PREDICTIONS, predictions.numpy().astype("<i4").tobytes())

    def _check_shapes(self, candidate: Candidate) -> None:
        """Of a small network for real, of a large one on the meta device, each the quicker way.

        What fails on the meta device is tried for real before it is held against the candidate.
        """
        net, device = candidate.build_small(), CPU
        if net is None:
            net, device = candidate.build_abstractly(), META
        if net is None:
            net, device = candidate.build(), CPU
        self._begin("shape")
        if device is META and not candidate.fits_abstractly(net):
            net, device = candidate.build(), CPU
        if device is CPU:
            candidate.output_shape(net, CPU)
        self._parameters, self._cost = parameters(net), candidate.cost(net, device)

    def _train(self, candidate: Candidate) -> Any:
        at = self._accelerator
        net = at.network(candidate.build(at.device))
        images, labels = self._images.to(at.device), self._labels.to(at.device)
        self._losses.install()
        net.train_setup(dict(candidate.prm))
        for epoch in range(self._task.epochs):
            net.train()
            with at.precision():
                net.learn(Epoch(images, labels, self._task, epoch))
        if self._losses.diverged or not all(bool(p.isfinite().all()) for p in net.parameters()):
            raise Flaw("diverged", "the loss or a weight is not finite")
        return net

    def _predict(self, candidate: Candidate, net: Any) -> Tensor:
        net.eval()
        at = self._accelerator
        normalise, answers = Normalise(self._task, at.device), []
        with torch.no_grad(), at.precision():
            for images in torch.split(self._heldout.to(at.device), self._at_once()):
                output = net(normalise(images))
                candidate.check_output(output, len(images))
                if not bool(output.isfinite().all()):
                    raise Flaw("diverged", "a prediction is not finite")
                answers.append(output.argmax(1))
        return torch.cat(answers).cpu()

    def _at_once(self) -> int:
        """How many images to predict at a time: of large ones no more than were trained on at a time."""
        _, height, width = self._task.shape
        return max(self._task.batch, min(_PREDICT_BATCH, _PREDICT_PIXELS // (height * width)))

    def _begin(self, stage: str) -> None:
        self._stage = stage
        self._emit(frames.STAGE, stage.encode())

    def _emit(self, kind: bytes, payload: bytes) -> None:
        view = memoryview(frames.pack(kind, payload))
        while view:
            view = view[os.write(self._result, view) :]


def perform(task: Task, source: bytes, arrays: list[Array], result: int) -> None:
    """All stages, and the verdict."""
    Stages(task, source, arrays, result).run()


def _parsed(source: bytes) -> tuple[ast.Module, CodeType]:
    """Python's own limits on nesting are the candidate's mistake, so is a crash of the parser."""
    try:
        tree = ast.parse(source, FILENAME)
        return tree, compile(tree, FILENAME, "exec", dont_inherit=True)
    except (RecursionError, MemoryError) as error:
        raise Flaw("syntax_error", f"nested too deeply: {type(error).__name__}") from error


def _executed(code: CodeType) -> dict[str, Any]:
    """The candidate's namespace, as that of an imported module (dataclasses and inspect look it up)."""
    module = ModuleType("candidate")
    module.__file__ = FILENAME
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)  # noqa: S102 - this is what the sandbox is for
    return module.__dict__
