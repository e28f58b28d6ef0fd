"""Direct preference optimisation (Rafailov et al. 2023): chosen answers gain on rejected ones, beyond the reference.

The reference is the model as it is before the first step, with the adapter that it continues, as for TRL.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch.nn.functional import logsigmoid

from services.trainer.pairs import Example, Preference

LogProbabilities = Callable[[Sequence[Example]], torch.Tensor]
"""Returns the log-probability of each answer, the sum over its tokens, in nats."""


def referred(of: LogProbabilities, batches: Iterable[Sequence[Preference]]) -> list[Preference]:
    """Return the preferences, in their order, with the margins of the model as it is."""
    found: list[Preference] = []
    with torch.no_grad():
        for batch in batches:
            known = zip(batch, margins(of, batch).tolist(), strict=True)
            found += [each._replace(margin=margin) for each, margin in known]
    return found


def backward(of: LogProbabilities, batches: Iterable[Sequence[Preference]], beta: float, count: int) -> float:
    """Add up the gradients of the mean loss of so many preferences, in batches; return that loss."""
    total = 0.0
    for batch in batches:
        loss = losses(of, batch, beta).sum() / count
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def losses(of: LogProbabilities, batch: Sequence[Preference], beta: float) -> torch.Tensor:
    """Return the loss of each preference: -log sigmoid of `beta` times what its margin has grown by."""
    reference = torch.tensor([each.margin for each in batch])
    return -logsigmoid(beta * (margins(of, batch) - reference))


def margins(of: LogProbabilities, batch: Sequence[Preference]) -> torch.Tensor:
    """Return by how much each chosen answer is likelier than the rejected one."""
    chosen, rejected = of([*(each.chosen for each in batch), *(each.rejected for each in batch)]).chunk(2)
    return chosen - rejected
