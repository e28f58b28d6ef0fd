"""Work that the fork server does once for all children: lazy imports, and first calls of every kind."""

import torch
import torch.utils.checkpoint
from torch import nn

from services.evaluator.harness import graph, measures


def run(*, backward: bool = True) -> None:
    """Do one step of training and measured forward passes, also on the meta device, without starting a thread.

    Without `backward` the gradients are zeros: where there is a GPU, autograd's first backward pass counts GPUs, which
    loads the driver, and starts a thread for each. Neither survives a fork.

    The first optimizer imports 800 modules, the first meta operation takes a second; a forked child then finds them in
    place. A thread would not survive a fork, but its locks would.
    """
    torch.set_num_threads(1)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss = nn.functional.cross_entropy(net(torch.randn(2, 1, 4, 4)), torch.tensor([0, 1]))
    if backward:
        loss.backward()  # type: ignore[no-untyped-call]
    for parameter in () if backward else net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    for device in ("cpu", "meta"):
        with torch.device(device):
            net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).eval()
            measures.cost(net, torch.empty(2, 1, 4, 4))
    graph.of(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 2)), (1, 4, 4)
    )
