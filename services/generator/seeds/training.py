"""How a network trains itself: initial weights, `train_setup` and `learn`."""

import random

from services.generator.prompts import Wishes
from services.generator.seeds.draft import Draft
from services.generator.seeds.weak_choices import Lapse

_CONSTANTS = ("0.01", "0.02", "0.05")


def write_training(rng: random.Random, draft: Draft, wishes: Wishes, lapses: frozenset[Lapse]) -> None:
    """Fill `setup` and `learn`, and put the initialisation after the layers."""
    if Lapse.CONSTANT_INIT in lapses:
        draft.layers += ["for p in self.parameters():", f"    nn.init.constant_(p, {rng.choice(_CONSTANTS)})"]
    smoothing = "label_smoothing=0.1" if "label smoothing" in wishes.tricks else ""
    loss = f"nn.CrossEntropyLoss({smoothing})"
    criteria = rng.choice((f"({loss}.to(self.device),)", f"({loss},)"))
    to_device = ["self.to(self.device)"] if rng.random() < 0.7 else []
    draft.setup = [*to_device, f"self.criteria = {criteria}", f"self.optimizer = {_optimizer(wishes, lapses)}"]
    draft.learn = _learn(rng, wishes, lapses)


def _optimizer(wishes: Wishes, lapses: frozenset[Lapse]) -> str:
    rate = "lr=prm['lr'] * 0.002" if Lapse.TIMID_RATE in lapses else "lr=prm['lr']"
    arguments = ["self.parameters()", rate, "momentum=prm['momentum']"]
    if Lapse.DAMPENED in lapses:
        arguments.append("dampening=0.998")
    elif "Nesterov momentum" in wishes.tricks:
        arguments.append("nesterov=True")
    if Lapse.OVER_DECAY in lapses:
        arguments.append("weight_decay=0.3")
    elif "weight decay" in wishes.tricks:
        arguments.append("weight_decay=1e-4")
    return f"torch.optim.SGD({', '.join(arguments)})"


def _learn(rng: random.Random, wishes: Wishes, lapses: frozenset[Lapse]) -> list[str]:
    a, b = rng.choice((("inputs", "labels"), ("x", "y"), ("images", "targets")))
    loss = f"self.criteria[0](self({a}), {b})"
    body = [
        f"{a}, {b} = {a}.to(self.device), {b}.to(self.device)",
        "self.optimizer.zero_grad()",
        *rng.choice(([f"loss = {loss}"], [f"output = self({a})", f"loss = self.criteria[0](output, {b})"])),
        "loss.backward()",
        *_clipping(wishes, lapses),
        "self.optimizer.step()",
    ]
    return ["self.train()", f"for {a}, {b} in train_data:", *[f"    {line}" for line in body]]


def _clipping(wishes: Wishes, lapses: frozenset[Lapse]) -> list[str]:
    if Lapse.HARD_CLIP in lapses:
        return ["nn.utils.clip_grad_norm_(self.parameters(), 0.01)"]
    return ["nn.utils.clip_grad_norm_(self.parameters(), 3.0)"] if "gradient clipping" in wishes.tricks else []
