"""LEMUR's contract by a plain loop: import the file, build Net, train_setup, learn, evaluate.

It does what `Train.py` of nn-dataset does, and must not import this project: it is what `differential.py` compares
the evaluator with.
"""

import importlib.util
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm  # type: ignore[import-untyped]

UNKNOWN = {"pretrained": 0.0}  # LEMUR draws it from {0, 1}, and every other name that it does not know from [0, 1]
MIDDLE = 0.5
Line = dict[str, Any]
Tell = Callable[..., None]


class DataRoll(tqdm):  # type: ignore[misc]
    """A progress bar that is its own iterator, as LEMUR hands it to `learn`: one pass."""

    def __init__(self, batches: DataLoader[Any]) -> None:
        super().__init__(batches, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - lives as long as the bar
        self.it = super().__iter__()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.it)


class Data:
    """The images as LEMUR's transforms leave them: float32, normalised, in the order that the seed gives."""

    def __init__(self, folder: Path) -> None:
        arrays = np.load(folder / "data.npz")
        self.settings = json.loads((folder / "settings.json").read_text())
        mean, std = (torch.tensor(arrays[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
        scale, shift = 1 / (255 * std), mean / std
        self.train, self.heldout = (
            TensorDataset(
                torch.from_numpy(arrays[f"{part}_images"]).float().mul_(scale).sub_(shift),
                torch.from_numpy(arrays[f"{part}_labels"]),
            )
            for part in ("train", "heldout")
        )

    def epoch(self, seed: int, epoch: int) -> DataLoader[Any]:
        """One pass over the training images; its own generator leaves torch's as the network set it."""
        drawn = torch.Generator().manual_seed(seed + epoch)
        order = torch.randperm(len(self.train), generator=drawn).tolist()
        return DataLoader(self.train, self.settings["batch"], sampler=order, generator=drawn)


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def imported(path: Path) -> ModuleType:
    """The file as a module, found by whoever asks for its source."""
    spec = importlib.util.spec_from_file_location("network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def hyperparameters(module: Any, settings: Line) -> Line:
    given: Line = settings["prm"]
    return {name: UNKNOWN.get(name, MIDDLE) for name in module.supported_hyperparameters()} | given


def perform(path: Path, seed: int, data: Data, tell: Tell) -> None:
    """Train.py in a few lines; `tell` hears of every step before it begins."""
    settings, device = data.settings, torch.device("cpu")
    seed_all(seed)
    tell(stage="import")
    module: Any = imported(path)
    tell(stage="hyperparameters")
    prm = hyperparameters(module, settings)
    tell(stage="build")
    seed_all(seed)
    shape = (settings["batch"], *data.train.tensors[0].shape[1:])
    net = module.Net(tuple(shape), (settings["classes"],), prm, device)
    net.to(device)
    tell(stage="setup")
    net.train_setup(prm)
    tell(stage="train")
    for epoch in range(settings["epochs"]):
        net.train()
        net.learn(DataRoll(data.epoch(seed, epoch)))
    tell(stage="predict", parameters=size(net))
    tell(stage="", **predicted(net, data))


def size(net: Any) -> int:
    """How many numbers are trained; what no pass has ever shaped has none."""
    return sum(p.numel() for p in net.parameters() if not is_lazy(p))


def predicted(net: Any, data: Data) -> Line:
    """Accuracies on both held-out splits by LEMUR's own metric, and what came out of the network."""
    net.eval()
    right, well = [], True
    with torch.no_grad():
        for inputs, labels in DataLoader(data.heldout, data.settings["batch"]):
            outputs = net(inputs)
            best, chosen = torch.max(outputs, dim=1)
            well = well and bool(best.isfinite().all())
            right.append((chosen == labels).float())
    line: Line = {"output": list(outputs.shape), "classes": data.settings["classes"], "finite": well}
    if all(part.ndim == 1 for part in right):
        line |= accuracies(torch.cat(right), data.settings["validation"])
    return line


def accuracies(right: Tensor, validation: int) -> Line:
    return {"accuracy": float(right[:validation].mean()), "test_accuracy": float(right[validation:].mean())}
