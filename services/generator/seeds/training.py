"""Training of a network by itself: initial weights, `train_setup` and `learn`."""

import random

from services.generator.prompts import BriefParameters
from services.generator.seeds.draft import Draft
from services.generator.seeds.weak_choices import WeakChoice

_CONSTANTS = ("0.01", "0.02", "0.05")


def write_training(
    rng: random.Random, draft: Draft, brief: BriefParameters, weak_choices: frozenset[WeakChoice]
) -> None:
    """Fill `setup` and `learn`, and put the initialisation after the layers."""
    if WeakChoice.CONSTANT_INIT in weak_choices:
        draft.layers += ["for p in self.parameters():", f"    nn.init.constant_(p, {rng.choice(_CONSTANTS)})"]
    smoothing = "label_smoothing=0.1" if "label smoothing" in brief.tricks else ""
    loss = f"nn.CrossEntropyLoss({smoothing})"
    criteria = rng.choice((f"({loss}.to(self.device),)", f"({loss},)"))
    to_device = ["self.to(self.device)"] if rng.random() < 0.7 else []
    draft.setup = [*to_device, f"self.criteria = {criteria}", f"self.optimizer = {_optimizer(brief, weak_choices)}"]
    draft.learn = _learn(rng, brief, weak_choices)


def _optimizer(brief: BriefParameters, weak_choices: frozenset[WeakChoice]) -> str:
    rate = "lr=prm['lr'] * 0.002" if WeakChoice.TIMID_RATE in weak_choices else "lr=prm['lr']"
    arguments = ["self.parameters()", rate, "momentum=prm['momentum']"]
    if WeakChoice.DAMPENED in weak_choices:
        arguments.append("dampening=0.998")
    elif "Nesterov momentum" in brief.tricks:
        arguments.append("nesterov=True")
    if WeakChoice.OVER_DECAY in weak_choices:
        arguments.append("weight_decay=0.3")
    elif "weight decay" in brief.tricks:
        arguments.append("weight_decay=1e-4")
    return f"torch.optim.SGD({', '.join(arguments)})"


def _learn(rng: random.Random, brief: BriefParameters, weak_choices: frozenset[WeakChoice]) -> list[str]:
    a, b = rng.choice((("inputs", "labels"), ("x", "y"), ("images", "targets")))
    loss = f"self.criteria[0](self({a}), {b})"
    body = [
        f"{a}, {b} = {a}.to(self.device), {b}.to(self.device)",
        "self.optimizer.zero_grad()",
        *rng.choice(([f"loss = {loss}"], [f"output = self({a})", f"loss = self.criteria[0](output, {b})"])),
        "loss.backward()",
        *_clipping(brief, weak_choices),
        "self.optimizer.step()",
    ]
    return ["self.train()", f"for {a}, {b} in train_data:", *[f"    {line}" for line in body]]


def _clipping(brief: BriefParameters, weak_choices: frozenset[WeakChoice]) -> list[str]:
    if WeakChoice.HARD_CLIP in weak_choices:
        return ["nn.utils.clip_grad_norm_(self.parameters(), 0.01)"]
    return ["nn.utils.clip_grad_norm_(self.parameters(), 3.0)"] if "gradient clipping" in brief.tricks else []
