"""Work that the fork server does once for all children: lazy imports, and first calls of every kind."""

import torch
import torch.utils.checkpoint
from torch import nn

from services.evaluator.harness import graph, measures


def run() -> None:
    """Do one step of training and measured forward passes, also on the meta device, without starting a thread.

    The first optimizer imports 800 modules, the first meta operation takes a second; a forked child then finds them in
    place. A thread would not survive a fork, but its locks would.
    """
    torch.set_num_threads(1)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss = nn.functional.cross_entropy(net(torch.randn(2, 1, 4, 4)), torch.tensor([0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    for device in ("cpu", "meta"):
        with torch.device(device):
            net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).eval()
            measures.cost(net, torch.empty(2, 1, 4, 4))
    graph.of(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 2)), (1, 4, 4)
    )
