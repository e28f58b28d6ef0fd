"""The yardstick of `evaluator.py`: the same network, data and batches in a plain loop, without a sandbox.

A process of its own for every measurement. What it imports, and its first optimiser, are not on the clock: the
evaluator's candidates do not pay for them either. No source is checked and no shape is tried before training.
"""

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from services.evaluator.harness import warmup
from services.evaluator.harness.loader import Epoch, Normalise
from services.evaluator.harness.task import Task


def predictions(source: str, task: Task, images: Tensor, labels: Tensor, heldout: Tensor) -> Tensor:
    """From source to the class of every held-out image, on the task's device."""
    device = torch.device(task.device)
    images, labels, heldout = (array.to(device) for array in (images, labels, heldout))
    namespace: dict[str, type] = {}
    exec(source, namespace)
    random.seed(task.seed)
    np.random.seed(task.seed)
    torch.manual_seed(task.seed)
    net = namespace["Net"]((1, *task.shape), (task.classes,), task.prm(), device)
    net.train_setup(task.prm())
    for epoch in range(task.epochs):
        net.train()
        net.learn(Epoch(images, labels, task, epoch))
    net.eval()
    normalise = Normalise(task, device)
    with torch.no_grad():
        return torch.cat([net(normalise(part)).argmax(1) for part in torch.split(heldout, 128)]).cpu()


def measure(folder: Path) -> dict[str, float]:
    task = Task.decode((folder / "task.json").read_text())
    data = np.load(folder / "data.npz")
    arrays = [torch.from_numpy(data[name]) for name in ("train_images", "train_labels", "heldout_images")]
    source, validation = (folder / "net.py").read_text(), int(data["validation"])
    warmup.run()
    torch.set_num_threads(task.threads)
    torch.zeros(1, device=task.device)  # the first use of a GPU takes as long as a small network
    began, cpu = time.perf_counter(), time.process_time()
    predicted = predictions(source, task, *arrays).numpy()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    accuracy = float((predicted == data["heldout_labels"])[:validation].mean())
    return {"wall": wall, "cpu": cpu, "accuracy": accuracy}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
